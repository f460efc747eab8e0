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
