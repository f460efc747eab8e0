/** `cellar cat` and `cellar chain`: a blob's bytes, and its chunks. */

import { StorageError } from "../error.ts";
import { firstIndexOf } from "../format/chunk.ts";
import { FOOTER, FOOTER_BYTES } from "../format/layout.ts";
import type { PartOptions } from "../options.ts";
import type { StorageReader } from "../reader.ts";
import { command, type Command } from "./command.ts";
import { CommandError, OK } from "./failure.ts";
import { countText } from "./figures.ts";
import { indexIn, numberOption, openReader, readingOptions } from "./opening.ts";
import { columns, paint, print, printJson, write } from "./output.ts";

/** The limit for base64: more would not fit into a string. */
const MAX_JSON_BYTES: number = 2 ** 28;

const blobPositionals = [
  ["PATH", "the storage's file"],
  ["[INDEX]", "the blob's index, as put printed it; default: root"],
] as const;

/** Writes only the blob's bytes to standard output. Errors go to standard error. */
export const cat: Command = command({
  name: "cat",
  summary: "Writes a blob's bytes to standard output, as they are",
  positionals: blobPositionals,
  options: {
    offset: { value: "BYTES", help: "the first byte to write; default: 0" },
    length: { value: "BYTES", help: "how many bytes to write at most; default: all" },
    ...readingOptions,
  },
  examples: [
    "cellar cat data.cellar 4711 > picture.png",
    "cellar cat data.cellar root | less",
    "cellar cat data.cellar 4711 --offset 1000000 --length 4096 | hexdump -C",
  ],
  run: async ({ positionals: [path = "", word], values, json }) => {
    using reader = openReader(path, values);
    const index = indexIn(reader, word);
    const part: PartOptions = {
      offset: numberOption(values, "offset"),
      length: numberOption(values, "length"),
    };
    if (json) await printJson({ path, index, ...contentOf(reader, index, part) });
    else for await (const piece of reader.stream(index, part)) await write(piece);
    return OK;
  },
});

/** Follows the chain from the last chunk back. Shows a broken chain up to the break. */
export const chain: Command = command({
  name: "chain",
  summary: "Lists the chunks of a blob, from the last one back",
  positionals: blobPositionals,
  options: readingOptions,
  examples: ["cellar chain data.cellar root"],
  run: async ({ positionals: [path = "", word], values, json }) => {
    using reader = openReader(path, values);
    const index = indexIn(reader, word);
    const chunks: Chunk[] = [];
    try {
      for (const chunk of chainOf(reader, index)) chunks.push(chunk);
    } catch (error) {
      if (!json && chunks.length > 0) await print(chainLines(chunks));
      throw error;
    }
    if (!json)
      await print([...chainLines(chunks), `${countText(chunks.length, "chunk")}, ${totalBytes(chunks)} bytes`]);
    else await printJson({ path, index, byteLength: totalBytes(chunks), chunks });
    return OK;
  },
});

/** Returns a part of a blob for JSON: as base64. */
function contentOf(
  reader: StorageReader,
  index: number,
  part: PartOptions,
): { readonly byteLength: number; readonly base64: string } {
  const { offset = 0, length = Infinity } = part;
  const byteLength = Math.max(0, Math.min(reader.blobLength(index) - offset, length));
  if (byteLength > MAX_JSON_BYTES) {
    throw new CommandError("TOO_LARGE", `${reader.path}: ${byteLength} bytes do not fit in JSON: leave out --json`);
  }
  return { byteLength, base64: reader.read(index, part).toBase64() };
}

interface Chunk {
  readonly first: number;
  readonly last: number;
  readonly byteLength: number;
  /** The last index of the previous chunk, 0 for none. */
  readonly previous: number;
}

/** Yields the chunks from the last one back. @throws CHUNK_CORRUPT at a broken one */
function* chainOf(reader: StorageReader, index: number): Generator<Chunk> {
  const { bytesPerCell } = reader.config;
  const footerCells = Math.ceil(FOOTER_BYTES / bytesPerCell);
  for (let last = index; last !== 0;) {
    // The view checks the given index; the footers check the following ones.
    reader.cell(last);
    if (last - footerCells + 1 < reader.startIndex) throw corrupt(reader, last);
    const cells = reader.cells(last - footerCells + 1, footerCells);
    const view = new DataView(cells.buffer, cells.byteOffset + cells.byteLength - FOOTER_BYTES, FOOTER_BYTES);
    const byteLength = view.getUint16(FOOTER.size.offset, true);
    const previous = view.getUint32(FOOTER.previous.offset, true);
    const first = firstIndexOf(last, byteLength, previous, last !== index, reader.startIndex, bytesPerCell);
    if (first === 0) throw corrupt(reader, last);
    yield { first, last, byteLength, previous };
    last = previous;
  }
}

function corrupt({ path }: StorageReader, index: number): StorageError {
  const message = `${path}: no chunk ends at index ${index}: was this index returned by put or write?`;
  return new StorageError("CHUNK_CORRUPT", message, { path, index });
}

/** A heading, and a line for each chunk. */
function chainLines(chunks: readonly Chunk[]): string[] {
  const [heading = "", ...lines] = columns(
    [
      ["cells", "count", "bytes", "previous"],
      ...chunks.map(({ first, last, byteLength, previous }) => [
        `${first}–${last}`,
        String(last - first + 1),
        String(byteLength),
        previous === 0 ? "–" : String(previous),
      ]),
    ],
    "right",
  );
  return [paint("dim", heading), ...lines];
}

function totalBytes(chunks: readonly Chunk[]): number {
  return chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
