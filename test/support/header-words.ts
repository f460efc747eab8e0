/** Steps through the writer's stores into the header area, as a reader beside it may see them. */

import { spyOn } from "bun:test";
import * as fs from "node:fs";
import { HEADER_AREA_BYTES } from "../../src/format/layout.ts";

/**
 * From now on each write into the header area is done word by word, and `look` is called after each, with its offset and
 * value. A reader may see a write in any order of its bytes; this is one. Ends with `mock.restore()`.
 */
export function afterEachHeaderWord(look: (offset: number, word: number) => void): void {
  const { writeSync } = fs;
  spyOn(fs, "writeSync").mockImplementation(((
    fd: number,
    bytes: Uint8Array,
    from: number,
    lengthBytes: number,
    position: number,
  ) => {
    if (position + lengthBytes > HEADER_AREA_BYTES) return writeSync(fd, bytes, from, lengthBytes, position);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < lengthBytes; at += 4) {
      writeSync(fd, bytes, from + at, 4, position + at);
      look(position + at, view.getUint32(from + at, true));
    }
    return lengthBytes;
  }) as typeof fs.writeSync);
}
