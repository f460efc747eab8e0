/**
 * The annex's head, bytes 160 to 191 of the header area: it names the writer and holds a hash of the config. It is zero
 * in files of Plebeia, which ignores it. A missing or torn head is not an error: its values are then unknown.
 */

import { type Hash96, hash96, sameBytes } from "./hash.ts";
import { ANNEX_HEAD, CONFIG, FILE, type Place } from "./layout.ts";

const MAGIC: Uint8Array = new TextEncoder().encode("CLR1");

/** The values of the annex's head. */
export interface AnnexHead {
  /** The writer's process id, 0 after a clean close. */
  readonly processId: number;
  /** Whether head string, cell size and max index match the hash that was made when the file was created. */
  readonly isConfigIntact: boolean;
}

const slice = (raw: Uint8Array, { offset, sizeBytes }: Place): Uint8Array => raw.subarray(offset, offset + sizeBytes);
const viewOf = (raw: Uint8Array): DataView => new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
/** The config without the version, which may change. */
const fixedConfig = (area: Uint8Array): Uint8Array => area.subarray(0, CONFIG.version.offset);

/** Encodes the annex's head as 32 bytes. `area` is the header area, whose config is hashed. */
export function encodeAnnexHead(processId: number, area: Uint8Array): Uint8Array {
  const raw = new Uint8Array(FILE.annexHead.sizeBytes);
  raw.set(MAGIC, ANNEX_HEAD.magic.offset);
  viewOf(raw).setUint32(ANNEX_HEAD.processId.offset, processId, true);
  raw.set(hash96(fixedConfig(area)), ANNEX_HEAD.configHash.offset);
  raw.set(hash96(raw.subarray(0, ANNEX_HEAD.headHash.offset)), ANNEX_HEAD.headHash.offset);
  return raw;
}

/** Decodes the head in the header area; null if there is none or it is torn. */
export function decodeAnnexHead(area: Uint8Array, hash: Hash96 = hash96): AnnexHead | null {
  const raw = slice(area, FILE.annexHead);
  if (!sameBytes(slice(raw, ANNEX_HEAD.magic), MAGIC)) return null;
  if (!sameBytes(slice(raw, ANNEX_HEAD.headHash), hash(raw.subarray(0, ANNEX_HEAD.headHash.offset)))) return null;
  return {
    processId: viewOf(raw).getUint32(ANNEX_HEAD.processId.offset, true),
    isConfigIntact: sameBytes(slice(raw, ANNEX_HEAD.configHash), hash(fixedConfig(area))),
  };
}
