/** Giving things back: all of them, whatever goes wrong with one. */

type Step = () => void;

/** Does every step, whatever the others throw; then throws what was thrown first. */
export function releaseAll(...steps: readonly Step[]): void {
  const errors = errorsOf(steps);
  if (errors.length > 0) throw errors[0];
}

/** After an error: does every step, and throws that error, whatever the steps throw. */
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
    // There is no caller that could catch it.
    process.emitWarning(error instanceof Error ? error : String(error));
  }
});

/** If `owner` is collected, runs `release`, which must not refer to it. The owner's `close` ends that by `closed`. */
export function releaseWhenCollected(owner: object, release: Step): void {
  owners.register(owner, release, owner);
}

/** The owner has released everything itself. */
export function closed(owner: object): void {
  owners.unregister(owner);
}
