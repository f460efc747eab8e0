/**
 * (c) The calls that map memory are the runtime's own too, so strace would break that: here they fail at the symbol
 * table, in a child that wraps the object which src/os/libc.ts hands out. Every error, at every call, once and from
 * then on; in the child everything is compared at once, and what it says is held against the books.
 */

import { constants } from "node:os";
import type { Figures } from "./figures.ts";
import { Random } from "../../support/random.ts";
import { endChild, startChild } from "./spawned.ts";
import { Workplace } from "./workplace.ts";

export interface MemoryErrorOptions {
  readonly runs: number;
  readonly seed: number;
}

/** A fault: the call, which one of them, and what it says. */
export interface MemoryFault {
  readonly call: "mmap" | "munmap" | "madvise";
  readonly nth: number;
  readonly errno: number;
  readonly forGood: boolean;
}

const CALLS = ["mmap", "munmap", "madvise"] as const;
const { EIO, ENOSPC, ENOMEM, EINTR, EDQUOT, EFBIG, EACCES, EOPNOTSUPP } = constants.errno;
const ERRNOS: readonly number[] = [EIO, ENOSPC, ENOMEM, EINTR, EDQUOT, EFBIG, EACCES, EOPNOTSUPP];

export async function memoryError({ runs, seed }: MemoryErrorOptions): Promise<Figures> {
  const random = new Random(seed);
  using workplace = new Workplace();
  const child = startChild(workplace, "unmappable.ts");
  const violations: string[] = [];
  const undisturbed = await child.ask({ path: workplace.path() });
  const counts = undisturbed["counts"] as Readonly<Record<string, number>>;
  const faults: MemoryFault[] = CALLS.flatMap((call) =>
    Array.from({ length: counts[call] ?? 0 }, (_, i) => i + 1).flatMap((nth) =>
      ERRNOS.flatMap((errno) => [false, true].map((forGood) => ({ call, nth, errno, forGood }))),
    ),
  );
  let refused = 0;
  for (const fault of random.sample(faults, runs)) {
    const reply = await child.ask({ path: workplace.path(), fault });
    const wrong = [
      ...((reply["wrong"] ?? []) as string[]),
      ...(reply["error"] === undefined ? [] : [String(reply["message"])]),
    ];
    violations.push(...wrong.map((what) => `${what} [${JSON.stringify(fault)}]`));
    refused += Number(reply["refused"] ?? 0);
    if (Number(reply["injected"] ?? 0) === 0) violations.push(`not met: ${JSON.stringify(fault)}`);
  }
  await endChild(workplace, child);
  const values = {
    "faults possible": faults.length,
    "faults injected": Math.min(runs, faults.length),
    "calls refused": refused,
  };
  return { scenario: "each call for memory fails", seed, values, violations };
}
