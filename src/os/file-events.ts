/**
 * Reports changes of files by inotify, within a millisecond and without a timer. The kernel reports a `write`, a new
 * size, and an added or removed name; a store through a mapping makes no event (inotify(7)).
 */

import { closeSync } from "node:fs";
import type { Readable } from "node:stream";
import {
  IN_ATTRIB,
  IN_CLOEXEC,
  IN_DELETE_SELF,
  IN_IGNORED,
  IN_MODIFY,
  IN_NONBLOCK,
  IN_Q_OVERFLOW,
} from "./constants.ts";
import { cString, libc } from "./libc.ts";

/** `struct inotify_event`: int wd; u32 mask, cookie, len; then `len` bytes of a name, 0 for a watched file. */
const EVENT_BYTES = 16;
const MASK_OFFSET = 4;
const NAME_LENGTH_OFFSET = 12;

/** The watch of a file, until it is closed. */
export interface FileEvents {
  close(): void;
}

/** Node's stream. Bun adds the two methods if it reads the descriptor itself. */
type Unreferable = Readable & { ref?(): void; unref?(): void };

/** The process's one inotify descriptor, while a file is watched. */
let watcher: Watcher | undefined;

/**
 * Calls back after changes of an open file, until closed. It does not keep the process alive.
 * @returns null if the system reports no events; the caller then has to poll
 */
export function watchFile(fd: number, callback: () => void): FileEvents | null {
  if (process.platform !== "linux") return null;
  watcher ??= Watcher.open();
  return watcher?.add(fd, callback) ?? null;
}

class Watcher {
  readonly #fd: number;
  readonly #stream: Unreferable;
  readonly #callbacks = new Map<number, Set<() => void>>();
  /** The beginning of an event whose rest is still to come. */
  #rest = new Uint8Array(0);

  private constructor(fd: number, stream: Unreferable) {
    this.#fd = fd;
    this.#stream = stream;
    stream.on("data", (bytes: Uint8Array) => this.#take(bytes));
    // Callers also poll by a timer, so an error only ends the events.
    stream.on("error", () => this.#end());
    // Call `ref` before `unref`: Bun releases the event loop only on a change.
    stream.ref?.();
    stream.unref?.();
  }

  /** Returns undefined if the system has no descriptor left, or if Bun's stream would keep the process alive. */
  static open(): Watcher | undefined {
    const fd = libc().inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd === -1) return undefined;
    const { Readable } = process.getBuiltinModule("node:stream");
    const stream = Readable.fromWeb(Bun.file(fd).stream() as Parameters<typeof Readable.fromWeb>[0]) as Unreferable;
    if (typeof stream.ref === "function" && typeof stream.unref === "function") return new Watcher(fd, stream);
    stream.destroy();
    closeSync(fd);
    return undefined;
  }

  add(fd: number, callback: () => void): FileEvents | null {
    // Watch the descriptor, not the file's path, which may name another file by now. The kernel gives a watched file
    // the same number again.
    const path = cString(`/proc/self/fd/${fd}`);
    const watch = libc().inotify_add_watch(this.#fd, path, IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF);
    if (watch === -1) {
      if (this.#callbacks.size === 0) this.#end();
      return null;
    }
    const callbacks = this.#callbacks.get(watch) ?? new Set();
    this.#callbacks.set(watch, callbacks.add(callback));
    return { close: () => this.#remove(watch, callback) };
  }

  #remove(watch: number, callback: () => void): void {
    const callbacks = this.#callbacks.get(watch);
    callbacks?.delete(callback);
    if (callbacks === undefined || callbacks.size > 0) return;
    this.#callbacks.delete(watch);
    if (this.#callbacks.size === 0) return this.#end();
    // The call fails if the file, and its watch with it, is gone.
    libc().inotify_rm_watch(this.#fd, watch);
  }

  #take(bytes: Uint8Array): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const view = new DataView(all.buffer, all.byteOffset, all.byteLength);
    const changed = new Set<number>();
    let offset = 0;
    while (offset + EVENT_BYTES <= all.length) {
      const end = offset + EVENT_BYTES + view.getUint32(offset + NAME_LENGTH_OFFSET, true);
      if (end > all.length) break;
      const watch = view.getInt32(offset, true);
      const mask = view.getUint32(offset + MASK_OFFSET, true);
      // The kernel has lost events, which may be of any file.
      if ((mask & IN_Q_OVERFLOW) !== 0) for (const one of this.#callbacks.keys()) changed.add(one);
      else if ((mask & IN_IGNORED) === 0) changed.add(watch);
      offset = end;
    }
    this.#rest = all.slice(offset);
    for (const watch of changed) for (const callback of this.#callbacks.get(watch) ?? []) callback();
  }

  #end(): void {
    if (watcher !== this) return;
    watcher = undefined;
    this.#callbacks.clear();
    this.#stream.destroy();
    closeSync(this.#fd);
  }
}
