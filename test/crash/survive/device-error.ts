/**
 * (f) A device that fails: an ext4 on a loop device over a sparse file, in memory that is too small for it. The file
 * system promises space that the device does not have, so the sync gets a real ENOSPC or EIO, and the pages that
 * could not be written are clean in memory from then on. The writer refuses; the next one makes what it recovered
 * durable, or refuses. What was claimed is read again after the memory is gone.
 */

import * as fs from "node:fs";
import { Ballast, Disk, type Mount, mountMemory } from "./disk.ts";
import type { Step } from "./events.ts";
import { Expected } from "./expected.ts";
import type { Figures } from "./figures.ts";
import { Inspector } from "./inspector.ts";
import { SteppedWriter } from "./lives.ts";
import { Random } from "../../support/random.ts";
import { Workplace } from "./workplace.ts";

export interface DeviceErrorOptions {
  readonly runs: number;
  readonly seed: number;
}

const MEGABYTE = 2 ** 20;
const MEMORY_BYTES = 32 * MEGABYTE;
const IMAGE_BYTES = 128 * MEGABYTE;
/** What the writer wants to sync. */
const DIRTY_BYTES = 10 * MEGABYTE;

const flushes: readonly (readonly Step[])[] = [["flushSync"], ["flush", "settle"]];

interface Tally {
  failed: number;
  reopened: number;
  refusedAgain: number;
  /** How often each call failed. */
  readonly calls: Map<string, number>;
}

export async function deviceError({ runs, seed }: DeviceErrorOptions): Promise<Figures> {
  const random = new Random(seed);
  using workplace = new Workplace();
  await using inspector = new Inspector(workplace);
  await using stepped = new SteppedWriter(workplace);
  const storages: Expected[] = [];
  const tally: Tally = { failed: 0, reopened: 0, refusedAgain: 0, calls: new Map() };
  for (let i = 0; i < runs; i++) {
    const expected = new Expected();
    storages.push(expected);
    const memory = mountMemory(workplace, MEMORY_BYTES);
    const disk = new Disk(workplace, memory.path("disk.img"), "ext4", IMAGE_BYTES, "-J", "size=4");
    // All eight together in turn: the device works again or not, the sync was the one call or the other, and another
    // program was told of the error before, or not.
    const sync = flushes[Math.floor(i / 2) % flushes.length] ?? [];
    const [recovers, toldBefore] = [i % 2 === 0, i % 8 >= 4];
    await failAndReopen({ stepped, inspector, expected, memory, disk, random, tally, sync, recovers, toldBefore });
    expected.annotate(`run ${i}`);
    disk.release();
    memory.unmount();
  }
  const values = {
    devices: runs,
    "syncs that failed": tally.failed,
    "in the call": [...tally.calls].map(([call, count]) => `${call} ${count}`).join(", "),
    "reopened, all made durable": tally.reopened,
    "reopened, refused": tally.refusedAgain,
    "blobs verified": inspector.counts.blobs,
  };
  return { scenario: "device error", seed, values, violations: storages.flatMap(({ violations }) => violations) };
}

interface Run {
  readonly stepped: SteppedWriter;
  readonly inspector: Inspector;
  readonly expected: Expected;
  readonly memory: Mount;
  readonly disk: Disk;
  readonly random: Random;
  readonly tally: Tally;
  /** The steps that sync. */
  readonly sync: readonly Step[];
  /** Another program's sync meets the error first. */
  readonly toldBefore: boolean;
  /** The device has space when the storage is opened again. */
  readonly recovers: boolean;
}

async function failAndReopen({
  stepped,
  inspector,
  expected,
  memory,
  disk,
  random,
  tally,
  sync,
  recovers,
  toldBefore,
}: Run): Promise<void> {
  const path = disk.mount.path("storage.cellar");
  const limits = { bytesPerCell: 32, maxBlobBytes: 200_000, maxStorageBytes: 2 ** 30, fillBytes: DIRTY_BYTES };
  await stepped.begin({ path, seed: random.seed(), firstNumber: 1, ...limits }, expected);
  await stepped.do("open", "writeLarge", "setRoot", "flushSync");
  const ballast = new Ballast(memory.folder);
  ballast.leave(random.between(1, 8) * MEGABYTE);
  await stepped.do("fill", "setRoot", "commit");
  if (toldBefore && !failsToSync(path)) expected.violations.push("a device without space did not fail another's sync");
  const { refused } = await stepped.do(...sync);
  const first = refused.find(({ call }) => call.startsWith("flush"));
  if (first === undefined) {
    expected.violations.push("a device without space did not fail the sync");
    await stepped.do("close");
    return;
  }
  tally.failed++;
  const { syscall } = first;
  tally.calls.set(String(syscall), (tally.calls.get(String(syscall)) ?? 0) + 1);
  if (first.code !== "FAILED") expected.violations.push(`the sync failed with ${first.code}`);
  // Nothing is claimed any more, whatever the kernel says by now, and nothing is taken.
  for (const step of ["flushSync", "flush", "writeSmall", "setRoot", "commit", "truncate", "allocate"] as const) {
    const again = await stepped.do(step, "settle");
    if (again.refused[0]?.code !== "FAILED") expected.violations.push(`${step} after FAILED was not refused`);
  }
  const { refused: atClose } = await stepped.do("close");
  if (atClose.length > 0) expected.violations.push("close of a refusing writer threw");
  if (recovers) ballast.free();
  expected.ended("kill");
  const { refused: atOpen } = await stepped.do("open");
  if (atOpen.length === 0) {
    tally.reopened++;
    await stepped.do("writeSmall", "setRoot", "flushSync", "close");
  } else tally.refusedAgain++;
  ballast.free();
  // Memory forgets: from here on only the disk counts.
  expected.ended("powerCut");
  disk.remount();
  await inspector.read(path, expected, "flushes");
}

/** Syncs the file by an opening of its own; true if that fails. */
function failsToSync(path: string): boolean {
  const fd = fs.openSync(path, "r");
  try {
    fs.fsyncSync(fd);
    return false;
  } catch {
    return true;
  } finally {
    fs.closeSync(fd);
  }
}
