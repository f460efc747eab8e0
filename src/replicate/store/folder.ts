/**
 * Object storage in a folder: a NAS, a disk, a network mount. An object gets its name by link(2) or rename(2), complete
 * and synced, so after a crash it is complete or does not exist. Temporary files are in a subfolder that is not part of
 * any key.
 */

import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { StorageError } from "../../error.ts";
import { Slots } from "../../os/event-loop.ts";
import { withDeadline } from "./deadline.ts";
import {
  folderError,
  isFolder,
  linkOnce,
  makeFolder,
  nullOn,
  readObject,
  removeOldTemporaries,
  syncFolder,
  writeTemporary,
} from "./folder-files.ts";
import { keysBelow, keyOf, segmentsOf } from "./folder-keys.ts";
import {
  type CallOptions,
  checkObjectSize,
  type GetOptions,
  type ListOptions,
  type ObjectStore,
  type PutOptions,
} from "./store.ts";

/** The subfolder of temporary files. Its name has characters that keys cannot have. */
const TEMPORARY = ".new";
/** An attempt makes the folder for the next one. More than two are needed only if deletions remove it again. */
const PLACE_ATTEMPTS = 8;

export class FolderStore implements ObjectStore {
  readonly url: string;
  readonly #root: string;
  readonly #timeoutMs: number;
  /** The identity of the folder `#root`, once seen. If it changes, a disk was mounted or unmounted. */
  #identity: string | null = null;
  /** The folders whose own names are durable: their identities, by path. */
  readonly #syncedFolders = new Map<string, string>();
  /** Whether the store's folder and the temporary one exist, and old temporary files were removed. */
  #isPrepared = false;
  /** One sync at a time: the thread pool may have only two threads, and reads and writes need the other. */
  readonly #syncs: Slots = new Slots(1);

  constructor(root: string, timeoutMs: number) {
    this.#root = root;
    this.#timeoutMs = timeoutMs;
    this.url = pathToFileURL(root).href;
  }

  async get(key: string, { firstBytes, signal }: GetOptions = {}): Promise<Uint8Array<ArrayBuffer> | null> {
    const path = this.#pathOf(key);
    return this.#run(`get ${key}`, path, signal, async () => {
      const bytes = await readObject(path, `${this.url}: ${key}`, firstBytes);
      if (bytes === null) await this.#checkRoot();
      return bytes;
    });
  }

  async put(
    key: string,
    bytes: Uint8Array,
    { ifAbsent = false, signal }: PutOptions = {},
  ): Promise<"created" | "exists"> {
    const path = this.#pathOf(key);
    checkObjectSize(bytes.length, `${this.url}: ${key}`);
    return this.#run(`put ${key}`, path, signal, async (ended) => {
      const temporaryPath = await this.#writeTemporary(bytes, ended);
      let isRenamed = false;
      try {
        // Check the signal first, so that nothing becomes visible after the deadline.
        ended.throwIfAborted();
        const answer = await this.#place(temporaryPath, path, ifAbsent);
        isRenamed = !ifAbsent;
        // Sync an existing name too: the process that made it may have died before its sync.
        await this.#syncNames(path);
        return answer;
      } finally {
        if (!isRenamed) await fs.promises.rm(temporaryPath, { force: true });
      }
    });
  }

  async list(prefix: string, { after = "", most = Infinity, signal }: ListOptions = {}): Promise<string[]> {
    return this.#run(`list ${prefix}`, this.#root, signal, async (ended) => {
      const keys: string[] = [];
      if (most > 0) {
        for await (const key of this.#keysIn([], prefix, after, ended)) if (keys.push(key) >= most) break;
      }
      await this.#checkRoot();
      return keys;
    });
  }

  async delete(key: string, { signal }: CallOptions = {}): Promise<void> {
    const path = this.#pathOf(key);
    return this.#run(`delete ${key}`, path, signal, async () => {
      await this.#checkRoot();
      await nullOn(["ENOENT"], fs.promises.unlink(path));
      // Make the deletion durable before a later one, because the remaining objects may name each other. Sync even if
      // the object did not exist: an earlier call may have failed here.
      await nullOn(["ENOENT"], syncFolder(dirname(path), this.#syncs));
      await this.#removeEmpty(dirname(path));
    });
  }

  /** Runs a call with its deadline, and converts its errors. */
  #run<T>(what: string, path: string, signal: AbortSignal | undefined, call: (ended: AbortSignal) => Promise<T>) {
    return withDeadline<T>(`${this.url}: ${what}`, this.#timeoutMs, signal, async (ended) => {
      try {
        return await call(ended);
      } catch (thrown) {
        throw folderError(thrown, path);
      }
    });
  }

  #pathOf(key: string): string {
    return join(this.#root, ...segmentsOf(key));
  }

  /**
   * Checks that the store's folder is the same as before. Returns whether it exists.
   * @throws STORE_UNREACHABLE, STORE_REFUSED
   */
  async #checkRoot(): Promise<boolean> {
    const stat = await nullOn(["ENOENT"], fs.promises.stat(this.#root, { bigint: true }));
    const identity = stat === null ? null : `${stat.dev}:${stat.ino}`;
    if (this.#identity !== null && identity !== this.#identity) {
      const what = identity === null ? "missing" : "not the same as before";
      const message = `${this.url}: the folder is ${what}: was its disk unmounted, or just mounted?`;
      throw new StorageError("STORE_UNREACHABLE", message, { path: this.#root });
    }
    if (stat !== null && !stat.isDirectory()) {
      const message = `${this.url}: not a folder: give a folder for the replica`;
      throw new StorageError("STORE_REFUSED", message, { path: this.#root });
    }
    this.#identity = identity;
    return stat !== null;
  }

  /** Creates the store's folder, but not its parent, which may be the mount point of a disk that is not mounted. */
  async #create(): Promise<void> {
    if (await this.#checkRoot()) return;
    const parent = await nullOn(["ENOENT"], fs.promises.stat(dirname(this.#root)));
    if (parent === null) {
      const message = `${this.url}: there is no ${dirname(this.#root)}: create it, or mount the disk that it is on`;
      throw new StorageError("STORE_REFUSED", message, { path: this.#root });
    }
    await makeFolder(this.#root);
    await syncFolder(dirname(this.#root), this.#syncs);
    await this.#checkRoot();
  }

  /** Writes and syncs a temporary file. Checks the store's folder at the same time. */
  async #writeTemporary(bytes: Uint8Array, ended: AbortSignal): Promise<string> {
    const folder = join(this.#root, TEMPORARY);
    if (!this.#isPrepared) {
      await this.#create();
      await makeFolder(folder);
      this.#isPrepared = true;
      await removeOldTemporaries(folder);
    }
    const written = writeTemporary(folder, bytes, this.#syncs, ended);
    const [path, look] = await Promise.allSettled([nullOn(["ENOENT"], written), this.#checkRoot()]);
    if (look.status === "rejected") {
      if (path.status === "fulfilled" && path.value !== null) await fs.promises.rm(path.value, { force: true });
      throw look.reason;
    }
    if (path.status === "rejected") throw path.reason;
    if (path.value !== null) return path.value;
    // Another program has removed the folder.
    await this.#create();
    await makeFolder(folder);
    return writeTemporary(folder, bytes, this.#syncs, ended);
  }

  /** Gives the file its name. Tries again if a simultaneous deletion has removed the folder, because it was empty. */
  async #place(temporaryPath: string, path: string, ifAbsent: boolean): Promise<"created" | "exists"> {
    const place = async (): Promise<"created" | "exists"> => {
      if (ifAbsent) return linkOnce(temporaryPath, path);
      await fs.promises.rename(temporaryPath, path);
      return "created";
    };
    for (let attempt = 1; attempt < PLACE_ATTEMPTS; attempt++) {
      const answer = await nullOn(["ENOENT"], place());
      if (answer !== null) return answer;
      for (const folder of this.#foldersOf(path).reverse()) await nullOn(["ENOENT"], makeFolder(folder));
    }
    return place();
  }

  /** The folders of an object, from its own up to the one below the store's. */
  #foldersOf(path: string): string[] {
    const folders: string[] = [];
    for (let folder = dirname(path); folder !== this.#root; folder = dirname(folder)) folders.push(folder);
    return folders;
  }

  /** Makes an object's name durable, and the names of the folders that lead to it, once. */
  async #syncNames(path: string): Promise<void> {
    const synced: [folder: string, identity: string][] = [];
    for (const folder of [...this.#foldersOf(path), this.#root]) {
      const identity = await syncFolder(folder, this.#syncs);
      if (this.#syncedFolders.get(folder) === identity) break;
      synced.push([folder, identity]);
    }
    for (const [folder, identity] of synced) this.#syncedFolders.set(folder, identity);
  }

  /** Removes folders upwards while they are empty, but not the store's. */
  async #removeEmpty(folder: string): Promise<void> {
    for (const empty of folder === this.#root ? [] : [folder, ...this.#foldersOf(folder)]) {
      const removed = await nullOn(["ENOTEMPTY", "EEXIST", "ENOENT", "EBUSY"], fs.promises.rmdir(empty));
      if (removed === null) return;
    }
  }

  async *#keysIn(
    folders: readonly string[],
    prefix: string,
    after: string,
    ended: AbortSignal,
  ): AsyncGenerator<string, void> {
    ended.throwIfAborted();
    const folder = join(this.#root, ...folders);
    const entries = await nullOn(["ENOENT"], fs.promises.readdir(folder, { withFileTypes: true }));
    const found: { readonly begins: string; readonly folders?: readonly string[] }[] = [];
    for (const entry of entries ?? []) {
      const segments = [...folders, entry.name];
      if (await isFolder(entry, folder)) {
        const begins = keysBelow(segments);
        const reaches = begins >= after || after.startsWith(begins);
        if (reaches && (begins.startsWith(prefix) || prefix.startsWith(begins)))
          found.push({ begins, folders: segments });
      } else {
        const key = keyOf(segments);
        if (key !== null && key.startsWith(prefix) && key > after) found.push({ begins: key });
      }
    }
    for (const one of found.sort((a, b) => (a.begins < b.begins ? -1 : 1))) {
      if (one.folders === undefined) yield one.begins;
      else yield* this.#keysIn(one.folders, prefix, after, ended);
    }
  }
}
