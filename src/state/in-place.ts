/** What of the header area is changed in place, apart from headers and commit records. Durable with the next flush. */

import { encodeAnnexHead } from "../format/annex.ts";
import { CONFIG, FILE } from "../format/layout.ts";
import type { WritableRegion } from "../region/region.ts";
import { loadArea } from "./choose-state.ts";

/** Stores the application's version. No hash covers it. */
export function storeVersion(region: WritableRegion, version: number): void {
  const bytes = new Uint8Array(CONFIG.version.sizeBytes);
  new DataView(bytes.buffer).setUint32(0, version, true);
  region.store({ offset: CONFIG.version.offset, bytes });
}

/** Names the writer in the annex: its process id, or 0 for a clean close. */
export function storeProcessId(region: WritableRegion, processId: number): void {
  region.store({ offset: FILE.annexHead.offset, bytes: encodeAnnexHead(processId, loadArea(region)) });
}
