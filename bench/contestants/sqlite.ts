/** bun:sqlite: one table, integer primary key, prepared statements, WAL. */

import { Database } from "bun:sqlite";
import { join } from "node:path";
import type { DurableStore, Purpose } from "./store.ts";

export function sqliteStore({ folder }: Purpose, synchronous: "off" | "full"): DurableStore {
  const database = new Database(join(folder, "blobs.sqlite"), { strict: true });
  database.run("PRAGMA journal_mode = WAL");
  database.run(`PRAGMA synchronous = ${synchronous}`);
  // All of it in memory, as the others have it.
  database.run("PRAGMA cache_size = -1048576");
  database.run("PRAGMA mmap_size = 4294967296");
  // The transaction alone is timed, and not the copying of the log into the database that may follow it.
  database.run("PRAGMA wal_autocheckpoint = 0");
  database.run("CREATE TABLE blobs (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)");
  const insert = database.prepare<unknown, [number, Uint8Array]>("INSERT INTO blobs VALUES (?, ?)");
  const select = database.prepare<{ bytes: Uint8Array }, [number]>("SELECT bytes FROM blobs WHERE id = ?");
  return {
    writeAll(count, blobAt) {
      database.transaction(() => {
        for (let i = 0; i < count; i++) insert.run(i, blobAt(i));
      })();
    },
    settle: () => database.run("PRAGMA wal_checkpoint(TRUNCATE)"),
    read(i) {
      const row = select.get(i);
      if (row === null) throw new Error(`SQLite has lost blob ${i}`);
      return row.bytes;
    },
    // In WAL mode a statement of its own is a transaction of its own, synced at its end.
    writeDurably: (i, blob) => void insert.run(i, blob),
    close: () => database.close(),
  };
}
