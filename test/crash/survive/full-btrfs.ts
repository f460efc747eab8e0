/**
 * A full btrfs, which by default takes a new block for every store: no signal, DISK_FULL, and what was flushed is there.
 * `bun full-btrfs.ts PATH SEED` is the victim; it tells its supervisor of each flush.
 */

import { StorageReader, StorageWriter } from "../../../src/index.ts";
import { codeOf } from "../../support/errors.ts";
import { Random } from "../../support/random.ts";
import { Disk, SMALLEST_BYTES } from "./disk.ts";
import type { Figures } from "./figures.ts";
import { Workplace } from "./workplace.ts";

const FIELDS = 100_000;
const BLOB_BYTES = 60_000;
const BLOBS_A_FLUSH = 50;

/** A line of the victim: the blobs that are durable, or the code of a call that was refused. */
type Line = { readonly flushed: readonly number[] } | { readonly refused: string };

function live(path: string, seed: number): void {
  const say = (line: Line): void => console.log(JSON.stringify(line));
  const random = new Random(seed);
  const writer = StorageWriter.create(path);
  const first = writer.allocate(FIELDS);
  const blobs: number[] = [];
  const full = codeOf(() => {
    for (;;) {
      blobs.push(writer.write(new Uint8Array(BLOB_BYTES).fill(blobs.length)));
      if (blobs.length % BLOBS_A_FLUSH !== 0) continue;
      writer.flushSync();
      say({ flushed: blobs });
    }
  });
  say({ refused: full });
  // Stores into pages that the disk has: the ones that ended the process.
  for (let round = 0; round < 1000; round++) writer.setU32(first + random.below(FIELDS), 0, round);
  writer.close();
  say({ flushed: blobs });
}

/** What the supervisor knows of a victim that has ended. */
function violationsOf(path: string, lines: readonly Line[]): string[] {
  const violations: string[] = [];
  const refused = lines.flatMap((line) => ("refused" in line ? [line.refused] : []));
  if (refused.length !== 1 || refused[0] !== "DISK_FULL") violations.push(`refused with ${refused.join()}`);
  const blobs = lines.flatMap((line) => ("flushed" in line ? [line.flushed] : [])).at(-1) ?? [];
  using reader = StorageReader.open(path);
  for (const [number, index] of blobs.entries()) {
    if (!reader.read(index).every((byte) => byte === number % 256)) violations.push(`blob ${number} is another`);
  }
  return violations;
}

export async function fullBtrfs({ runs, seed }: { readonly runs: number; readonly seed: number }): Promise<Figures> {
  using workplace = new Workplace();
  const violations: string[] = [];
  let blobs = 0;
  for (let run = 0; run < runs; run++) {
    const disk = new Disk(workplace, workplace.path("disk.img"), "btrfs", SMALLEST_BYTES.btrfs);
    const path = disk.mount.path("storage.cellar");
    const victim = Bun.spawn([process.execPath, import.meta.path, path, String(seed + run)], { stdout: "pipe" });
    workplace.ownsProcess(victim.pid, () => victim.kill("SIGKILL"));
    const text = await victim.stdout.text();
    await victim.exited;
    workplace.disownsProcess(victim.pid);
    const lines = text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Line]));
    if (victim.exitCode !== 0) violations.push(`run ${run}: ended with ${victim.signalCode ?? victim.exitCode}`);
    violations.push(...violationsOf(path, lines).map((violation) => `run ${run}: ${violation}`));
    for (const line of lines) if ("flushed" in line) blobs = line.flushed.length;
    disk.release();
  }
  return { scenario: "full btrfs", seed, values: { disks: runs, "blobs of the last": blobs }, violations };
}

if (import.meta.main) live(process.argv[2] ?? "", Number(process.argv[3]));
