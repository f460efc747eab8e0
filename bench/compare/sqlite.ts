/** bun:sqlite: one table, integer primary key, prepared statements, WAL, checkpoints by default. */

import { Database } from "bun:sqlite";
import { join } from "node:path";
import type { Purpose, TransactionStore } from "./store.ts";

/** `normal` survives a kill, `full` a power cut too. */
export type SqliteSync = "normal" | "full";

export interface SqliteStore extends TransactionStore {
  transact(i: number, blob: Uint8Array): void;
  /** Reads in here share a transaction. */
  inTransaction(work: () => void): void;
  /** Changes when another connection has committed. */
  version(): number;
}

interface SqliteOptions {
  /** Pages are mapped, and the cache has room for all: as fast as it gets. Else SQLite's defaults. */
  readonly large?: boolean;
}

export function sqliteStore(
  { folder }: Pick<Purpose, "folder">,
  synchronous: SqliteSync = "normal",
  { large = true }: SqliteOptions = {},
): SqliteStore {
  const database = new Database(join(folder, "blobs.sqlite"), { strict: true });
  // Readers in other processes may checkpoint the log: the writer waits for them.
  database.run("PRAGMA busy_timeout = 5000");
  database.run("PRAGMA journal_mode = WAL");
  database.run(`PRAGMA synchronous = ${synchronous}`);
  if (large) {
    database.run("PRAGMA cache_size = -1048576");
    database.run("PRAGMA mmap_size = 4294967296");
  }
  database.run("CREATE TABLE IF NOT EXISTS blobs (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)");
  const insert = database.prepare<unknown, [number, Uint8Array]>("INSERT OR REPLACE INTO blobs VALUES (?, ?)");
  const select = database.prepare<{ bytes: Uint8Array }, [number]>("SELECT bytes FROM blobs WHERE id = ?");
  const dataVersion = database.prepare<{ data_version: number }, []>("PRAGMA data_version");
  return {
    writeAll(count, blobAt) {
      database.transaction(() => {
        for (let i = 0; i < count; i++) insert.run(i, blobAt(i));
      })();
    },
    settle: () => void database.run("PRAGMA wal_checkpoint(TRUNCATE)"),
    read(i) {
      const row = select.get(i);
      if (row === null) throw new Error(`SQLite has lost blob ${i}`);
      return row.bytes;
    },
    // In WAL mode a statement of its own is a transaction of its own, synced at its end.
    transact: (i, blob) => void insert.run(i, blob),
    inTransaction: (work) => database.transaction(work)(),
    version: () => dataVersion.get()?.data_version ?? 0,
    close: () => database.close(),
  };
}
