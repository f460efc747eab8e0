/**
 * A process that has one storage open and does what it is told: for tests of several processes.
 * Both ends stand here. Run as a program it is the agent; imported, `Agent` starts one and talks to it.
 */

import { closeSync, openSync, readFileSync, realpathSync } from "node:fs";
import {
  type CreateOptions,
  type Follows,
  type OpenReaderOptions,
  type OpenWriterOptions,
  type Recovery,
  type StorageState,
  StorageReader,
  StorageWriter,
} from "../../src/index.ts";
import { HEADER_AREA_BYTES } from "../../src/format/layout.ts";
import { F_TLOCK } from "../../src/os/constants.ts";
import { libc } from "../../src/os/libc.ts";
import { WriterLock } from "../../src/os/lock.ts";
import { Child, serve } from "./child.ts";
import { type Access, accessTo } from "./process-self.ts";

/** How to open: options as they go through JSON, so keys are given in hex. */
export interface WriterOpening extends Omit<CreateOptions & OpenWriterOptions, "writerKey" | "headString"> {
  readonly path: string;
  readonly key?: string;
}
export interface ReaderOpening extends Omit<OpenReaderOptions, "writerKey"> {
  readonly path: string;
  readonly key?: string;
}

/** What the agent's storage looks like; the last two are a reader's. */
export interface Look extends StorageState {
  readonly follows: Follows | null;
  readonly truncations: number | null;
}

/** What an agent can be told. Texts are stored as blobs. */
export interface Actions {
  create(opening: WriterOpening): Recovery;
  openWriter(opening: WriterOpening): Recovery;
  openOrCreate(opening: WriterOpening): Recovery;
  openReader(opening: ReaderOpening): void;
  look(): Look;
  version(): number;
  /** Stores a text, makes it the root, and answers its index. */
  put(text: string): number;
  read(index: number): string;
  /** Stores into a cell through its view, which no commit can know of. */
  spoil(index: number): void;
  commit(): void;
  flush(): Promise<StorageState>;
  flushSync(): StorageState;
  truncate(): void;
  overrideVersion(version: number): void;
  refresh(): boolean;
  enableProcessSync(key: string): void;
  close(): void;
  /** Commits so often, each time one more blob; answers the milliseconds that the longest took. */
  longestCommit(count: number): number;
  /** Refreshes for ever, between the other commands. */
  keepRefreshing(): void;
  /** Opens, reads and closes the file by every way that drops `lockf` locks. */
  touch(path: string): Promise<void>;
  /** Holds the header lock as a process of the original does, until it is told to release it. */
  holdHeaderLock(path: string): void;
  releaseHeaderLock(): void;
  /** Has the locks of a writer: of one that is still opening the file, or, if it is `live`, has opened it. */
  holdWriterLock(path: string, live?: boolean): void;
  releaseWriterLock(): void;
  access(path: string): Access;
  /** Closes what is open, for the next test. */
  reset(): void;
}

/** What an agent could not do; `code` is the StorageError's. */
export class AgentError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export class Agent implements AsyncDisposable {
  readonly #child: Child = new Child(import.meta.path);
  #killed = false;

  get pid(): number {
    return this.#child.pid;
  }

  /** Has the agent do something; rejects with an AgentError if it could not. */
  async tell<Name extends keyof Actions>(
    name: Name,
    ...args: Parameters<Actions[Name]>
  ): Promise<Awaited<ReturnType<Actions[Name]>>> {
    const { value, error, message } = await this.#child.ask({ name, args });
    if (error !== undefined) throw new AgentError(String(error), String(message));
    return value as Awaited<ReturnType<Actions[Name]>>;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.signal(name);
  }

  /** Ends the process with no chance to clean up. */
  async kill(): Promise<void> {
    this.#killed = true;
    this.#child.signal("SIGKILL");
    await this.#child.exit();
  }

  get killed(): boolean {
    return this.#killed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#killed = true;
    await this.#child[Symbol.asyncDispose]();
  }
}

let storage: StorageWriter | StorageReader | undefined;
let lockFd: number | undefined;
let writerLock: { readonly fd: number; readonly lock: WriterLock | null } | undefined;
let refreshing = false;

function writer(): StorageWriter {
  if (storage instanceof StorageWriter) return storage;
  throw new Error("this agent has no writer");
}

function reader(): StorageReader {
  if (storage instanceof StorageReader) return storage;
  throw new Error("this agent has no reader");
}

function opened(made: StorageWriter): Recovery {
  storage = made;
  return made.recovery;
}

function withKey<T extends { readonly key?: string }>({
  key,
  ...options
}: T): Omit<T, "key"> & { writerKey?: Uint8Array } {
  return key === undefined ? options : { ...options, writerKey: Uint8Array.fromHex(key) };
}

const actions: Actions = {
  create: ({ path, ...options }) => opened(StorageWriter.create(path, withKey(options))),
  openWriter: ({ path, ...options }) => opened(StorageWriter.open(path, withKey(options))),
  openOrCreate: ({ path, ...options }) => opened(StorageWriter.openOrCreate(path, withKey(options))),
  openReader: ({ path, ...options }) => {
    storage = StorageReader.open(path, withKey(options));
  },
  look: () => {
    const { root, length } = storage ?? writer();
    const isReader = storage instanceof StorageReader;
    return {
      root,
      length,
      follows: isReader ? reader().follows : null,
      truncations: isReader ? reader().truncations : null,
    };
  },
  version: () => (storage ?? writer()).config.version,
  put: (text) => {
    const index = writer().write(new TextEncoder().encode(text));
    writer().root = index;
    return index;
  },
  read: (index) => new TextDecoder().decode((storage ?? reader()).read(index)),
  spoil: (index) => {
    writer().cell(index).fill(0xff);
  },
  commit: () => writer().commit(),
  flush: () => writer().flush(),
  flushSync: () => writer().flushSync(),
  truncate: () => writer().truncate(),
  overrideVersion: (version) => writer().overrideVersion(version),
  refresh: () => reader().refresh(),
  enableProcessSync: (key) => reader().enableProcessSync(Uint8Array.fromHex(key)),
  close: () => storage?.close(),
  longestCommit: (count) => {
    let longestMs = 0;
    for (let i = 0; i < count; i++) {
      actions.put(`commit ${i}`);
      const start = performance.now();
      writer().commit();
      longestMs = Math.max(longestMs, performance.now() - start);
    }
    return longestMs;
  },
  keepRefreshing: () => {
    refreshing = true;
    const again = (): void => {
      if (!refreshing) return;
      reader().refresh();
      setImmediate(again);
    };
    again();
  },
  touch: async (path) => {
    readFileSync(path);
    await Bun.file(path).arrayBuffer();
    closeSync(openSync(path, "r+"));
  },
  holdHeaderLock: (path) => {
    const fd = openSync(path, "r+");
    lockFd = fd;
    if (libc().lockf(fd, F_TLOCK, HEADER_AREA_BYTES) !== 0) throw new Error("somebody else has the header lock");
  },
  releaseHeaderLock: () => {
    if (lockFd !== undefined) closeSync(lockFd);
    lockFd = undefined;
  },
  holdWriterLock: (path, live = false) => {
    const fd = openSync(path, "r+");
    const lock = WriterLock.acquire({ fd, path, timeoutMs: 0, holderProcessId: () => 0 });
    writerLock = { fd, lock };
    if (live) lock?.announce();
  },
  releaseWriterLock: () => {
    writerLock?.lock?.release();
    if (writerLock !== undefined) closeSync(writerLock.fd);
    writerLock = undefined;
  },
  access: (path) => accessTo(realpathSync(path)),
  reset: () => {
    refreshing = false;
    actions.releaseHeaderLock();
    actions.releaseWriterLock();
    storage?.close();
    storage = undefined;
  },
};

if (import.meta.main) {
  await serve(async ({ name, args }) => {
    const action = actions[name as keyof Actions] as (...args: unknown[]) => unknown;
    return { value: await action(...(args as unknown[])) };
  });
  // Left open, as a killed process leaves it: what must be closed is told to close.
  process.exit(0);
}
