/** Blobs of 1 MiB into a fresh storage. */

import { cellarStore } from "../contestants/cellar.ts";
import { writeSyncStore } from "../contestants/files.ts";
import { lmdbStore } from "../contestants/lmdb.ts";
import type { Purpose } from "../contestants/store.ts";
import { told, type Workload, workload } from "../workload.ts";
import { type BlobSizes, measureWrite } from "./common.ts";

const MIB = 1024 * 1024;

export const writeLarge: Workload = workload<BlobSizes>({
  name: "write-large",
  unit: "ms",
  full: { count: 1024, sizeBytes: MIB },
  quick: { count: 64, sizeBytes: MIB },
  title: ({ count, sizeBytes }) => `write ${told(count)} blobs of ${sizeBytes / MIB} MiB to a fresh file`,
  contestants: {
    cellar: { run: (sizes, folder) => measureWrite(cellarStore, sizes, folder) },
    "cellar, space reserved": { run: (sizes, folder) => measureWrite(reservedStore, sizes, folder) },
    "fs.writeSync": { run: (sizes, folder) => measureWrite(writeSyncStore, sizes, folder) },
    lmdb: { peer: "lmdb", run: (sizes, folder) => measureWrite((purpose) => lmdbStore(purpose), sizes, folder) },
  },
  targets: [
    {
      says: "fs.writeSync ÷ cellar",
      of: (median) => median("fs.writeSync") / median("cellar"),
      unit: "×",
      atLeast: 0.9,
    },
    { says: "lmdb ÷ cellar", of: (median) => median("lmdb") / median("cellar"), unit: "×", atLeast: 3 },
  ],
});

/** Created with room for everything: growth is paid at creation, which is not timed. */
function reservedStore(purpose: Purpose): ReturnType<typeof cellarStore> {
  const bytesPerCell = 32;
  const capacityCells = Math.ceil((purpose.count * (purpose.sizeBytes + MIB / 16)) / bytesPerCell);
  return cellarStore(purpose, { bytesPerCell, capacityCells });
}
