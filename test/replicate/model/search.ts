/** Breadth-first search through the states of a model: the shortest way to a state that must not be. */

/** A step, in words, and the state after it. */
export type Step<S> = readonly [words: string, after: S];

export interface Outcome {
  /** `sound`: all states were seen, and none is bad; `stopped`: none of so many. */
  readonly verdict: "sound" | "stopped" | "violated";
  readonly states: number;
  readonly depth: number;
  /** What is wrong, and the steps to it. */
  readonly violation: string | null;
  readonly path: readonly string[];
}

/**
 * @param bad what is wrong with a state, or null
 * @param mostStates where to stop
 */
export function search<S>(
  start: S,
  next: (state: S) => Step<S>[],
  bad: (state: S) => string | null,
  mostStates: number,
): Outcome {
  const keys = new Set<bigint>();
  const parents: number[] = [-1];
  const steps: string[] = [""];
  const interned = new Map<string, string>();
  const keyOf = (text: string): bigint => Bun.hash(text) as bigint;
  let level: { text: string; id: number }[] = [{ text: JSON.stringify(start), id: 0 }];
  keys.add(keyOf(JSON.stringify(start)));
  const outcome = (verdict: Outcome["verdict"], depth: number): Outcome => {
    return { verdict, states: parents.length, depth, violation: null, path: [] };
  };
  for (let depth = 0; level.length > 0; depth++) {
    const following: { text: string; id: number }[] = [];
    for (const { text, id } of level) {
      const state = JSON.parse(text) as S;
      const violation = bad(state);
      if (violation !== null) return { ...outcome("violated", depth), violation, path: pathTo(id, parents, steps) };
      for (const [words, after] of next(state)) {
        const afterText = JSON.stringify(after);
        const key = keyOf(afterText);
        if (keys.has(key)) continue;
        if (parents.length >= mostStates) return outcome("stopped", depth);
        keys.add(key);
        following.push({ text: afterText, id: parents.length });
        parents.push(id);
        // Millions of steps share a few thousand texts.
        const shared = interned.get(words) ?? words;
        interned.set(shared, shared);
        steps.push(shared);
      }
    }
    if (following.length === 0) return outcome("sound", depth);
    level = following;
  }
  return outcome("sound", 0);
}

function pathTo(id: number, parents: readonly number[], steps: readonly string[]): string[] {
  const path: string[] = [];
  for (let at = id; at > 0; at = parents[at] ?? 0) path.push(steps[at] ?? "");
  return path.reverse();
}
