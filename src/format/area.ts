/** The header area of a file that is complete when it appears: every copy and record tells of the same flush. */

import { encodeAnnexHead, encodeCommitRecord, placeOfRecord } from "./annex.ts";
import { type CheckedConfig, encodeConfig } from "./config.ts";
import { encodeHeader, type Header } from "./header.ts";
import { FILE, HEADER_AREA_BYTES } from "./layout.ts";

/** Both records, so that neither place holds what reads as torn. */
const SEQUENCES = [1, 2];

/** The first 256 bytes of a file that was flushed at `header` and closed. */
export function encodeArea(config: CheckedConfig, header: Header, writerKey: Uint8Array): Uint8Array {
  const area = new Uint8Array(HEADER_AREA_BYTES);
  area.set(encodeConfig(config), FILE.config.offset);
  for (const place of [FILE.disk1, FILE.disk2]) area.set(encodeHeader(header, null), place.offset);
  for (const place of [FILE.process1, FILE.process2]) area.set(encodeHeader(header, writerKey), place.offset);
  area.set(encodeAnnexHead(0, area), FILE.annexHead.offset);
  for (const sequence of SEQUENCES) {
    // No cell stands between the flush and the commit: the CRC is that of no bytes.
    const record = { ...header, base: header.next, baseRoot: header.root, cellsCrc: 0, sequence, truncations: 0 };
    area.set(encodeCommitRecord(record), placeOfRecord(sequence).offset);
  }
  return area;
}
