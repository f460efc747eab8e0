/** The child of memory-error.ts: lives one life for each command, with one call failing. */

import { readdirSync, readFileSync, statSync } from "node:fs";
import { MADV_WILLNEED } from "../../../src/os/constants.ts";
import { libc } from "../../../src/os/libc.ts";
import { StorageError, StorageReader, StorageWriter } from "../../../src/index.ts";
import { serve } from "../../support/child.ts";
import { contentOf, isContent } from "./blobs.ts";
import type { MemoryFault } from "./memory-error.ts";

const real = { ...libc() };
let fault: MemoryFault | undefined;
let counts = { mmap: 0, munmap: 0, madvise: 0 };
let injected = 0;
let errno: number | null = null;

/** Whether this call is to fail; sets the errno that it leaves. */
function fails(call: keyof typeof counts): boolean {
  counts[call]++;
  errno = null;
  if (fault?.call !== call) return false;
  if (fault.forGood ? counts[call] < fault.nth : counts[call] !== fault.nth) return false;
  errno = fault.errno;
  injected++;
  return true;
}

Object.assign(libc(), {
  mmap: (...args: Parameters<typeof real.mmap>) => (fails("mmap") ? -1 : real.mmap(...args)),
  munmap: (...args: Parameters<typeof real.munmap>) => (fails("munmap") ? -1 : real.munmap(...args)),
  // Reading ahead depends on the time that a touch takes, so its calls are not counted. All of them fail with the others.
  madvise: (...args: Parameters<typeof real.madvise>) => {
    const isFailing = args[2] === MADV_WILLNEED ? fault?.call === "madvise" : fails("madvise");
    return isFailing ? -1 : real.madvise(...args);
  },
  errno: () => errno ?? real.errno(),
});

/** What a life learns. */
class Life {
  readonly wrong: string[] = [];
  refused = 0;
  flushed: number | null = null;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  live(): void {
    this.#attempt("create", () =>
      StorageWriter.create(this.#path, { bytesPerCell: 32, resizeStepBytes: 4096 }).close(),
    );
    for (const number of [1, 2]) this.#attempt("write", () => this.#write(number));
    this.#attempt("read", () => this.#read());
  }

  /** After the fault has gone: what was flushed is there, and the file can be written. */
  check(): void {
    const { flushed } = this;
    try {
      if (flushed !== null && this.#read() !== flushed) this.wrong.push(`the flush of blob ${flushed} is lost`);
      using writer = StorageWriter.openOrCreate(this.#path);
      writer.write(new Uint8Array(10));
    } catch (error) {
      this.wrong.push(`without the fault: ${String(error)}`);
    }
  }

  /** Whatever failed, nothing of the file is kept. A mapping that could not be given back stays, of course. */
  checkLeaks(failed: MemoryFault["call"] | undefined): void {
    const file = statSync(this.#path, { throwIfNoEntry: false });
    if (file === undefined) return;
    const isMapped = readFileSync("/proc/self/maps", "utf8").includes(` ${file.ino} `);
    if (isMapped && failed !== "munmap") this.wrong.push("a mapping is left");
    const descriptors = readdirSync("/proc/self/fd").map((fd) =>
      statSync(`/proc/self/fd/${fd}`, { throwIfNoEntry: false }),
    );
    if (descriptors.some((open) => open?.ino === file.ino)) this.wrong.push("a descriptor is left");
  }

  #write(number: number): void {
    using writer = StorageWriter.open(this.#path);
    const spec = { number, sizeBytes: 100_000, previousIndex: 0, previousNumber: 0 };
    writer.root = writer.write(contentOf(spec));
    writer.flushSync();
    this.flushed = number;
    if (!isContent(writer.read(writer.root), spec)) this.wrong.push("the writer reads what it did not write");
  }

  /** The number of the root's blob. */
  #read(): number | null {
    using reader = StorageReader.open(this.#path, { follow: "commits" });
    reader.refresh();
    if (reader.root === null) return null;
    const bytes = reader.read(reader.root);
    const number = [1, 2].find((one) => {
      return isContent(bytes, { number: one, sizeBytes: 100_000, previousIndex: 0, previousNumber: 0 });
    });
    if (number === undefined) this.wrong.push("the reader reads what nobody wrote");
    const viewed = Buffer.concat(reader.chunks(reader.root));
    if (!viewed.equals(bytes)) this.wrong.push("the views differ from what read() gives");
    return number ?? null;
  }

  #attempt(call: string, action: () => void): void {
    try {
      action();
    } catch (error) {
      this.refused++;
      if (!(error instanceof StorageError)) this.wrong.push(`${call} threw no StorageError: ${String(error)}`);
    }
  }
}

await serve((command) => {
  fault = command["fault"] as MemoryFault | undefined;
  counts = { mmap: 0, munmap: 0, madvise: 0 };
  injected = 0;
  const life = new Life(String(command["path"]));
  life.live();
  const reply = { counts: { ...counts }, injected, refused: life.refused };
  life.checkLeaks(fault?.call);
  fault = undefined;
  life.check();
  return { ...reply, wrong: life.wrong };
});
