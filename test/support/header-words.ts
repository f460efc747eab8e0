/** Steps through the writer's stores into the header area, as a reader beside it may see them. */

import { spyOn } from "bun:test";
import { HEADER_AREA_BYTES } from "../../src/format/layout.ts";
import { libc } from "../../src/os/libc.ts";

/**
 * From now on each write into the header area is done word by word, and `look` is called after each, with its offset and
 * value. A reader may see a write in any order of its bytes; this is one. Ends with `mock.restore()`.
 */
export function afterEachHeaderWord(look: (offset: number, word: number) => void): void {
  const { pwrite } = libc();
  spyOn(libc(), "pwrite").mockImplementation((fd, bytes, lengthBytes, position) => {
    if (position + lengthBytes > HEADER_AREA_BYTES) return pwrite(fd, bytes, lengthBytes, position);
    for (let at = 0; at < lengthBytes; at += 4) {
      const word = new Uint8Array(bytes.buffer, bytes.byteOffset + at, 4);
      pwrite(fd, word, 4, position + at);
      look(position + at, new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0, true));
    }
    return lengthBytes;
  });
}
