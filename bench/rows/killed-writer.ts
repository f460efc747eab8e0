/** Writes so many MiB to a new storage, commits, and kills itself: `bun killed-writer.ts PATH MIB`. */

import { StorageWriter } from "../../src/index.ts";
import { blobs } from "../lib/data.ts";
import { MIB } from "./blobs.ts";

if (import.meta.main) {
  const [path = "", mib] = process.argv.slice(2);
  const writer = StorageWriter.create(path);
  const blobAt = blobs(MIB);
  for (let i = 0; i < Number(mib); i++) writer.root = writer.write(blobAt(i));
  writer.commit();
  process.kill(process.pid, "SIGKILL");
}
