/** Releases resources: all of them, even if releasing one fails. */

type Step = () => void;

/** Runs every step, even if others throw, and then throws the first error. */
export function releaseAll(...steps: readonly Step[]): void {
  const errors = errorsOf(steps);
  if (errors.length > 0) throw errors[0];
}

/** Runs every step after an error, and throws that error, even if steps throw. */
export function releaseAfter(error: unknown, ...steps: readonly Step[]): never {
  errorsOf(steps);
  throw error;
}

function errorsOf(steps: readonly Step[]): unknown[] {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      errors.push(error);
    }
  }
  return errors;
}

const owners = new FinalizationRegistry<Step>((release) => {
  try {
    release();
  } catch (error) {
    // No caller could catch the error.
    process.emitWarning(error instanceof Error ? error : String(error));
  }
});

/**
 * Runs `release` when `owner` is garbage-collected. `release` must not refer to it. The owner's `close` calls `closed`
 * to cancel this.
 */
export function releaseWhenCollected(owner: object, release: Step): void {
  owners.register(owner, release, owner);
}

/** Cancels `releaseWhenCollected`: the owner has released everything itself. */
export function closed(owner: object): void {
  owners.unregister(owner);
}
