/** A large blob over HTTP, beside a file that Bun serves itself. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { Helper } from "../lib/helper.ts";
import { peer, cellar, type Row, row, type Start } from "../lib/row.ts";
import { randomNumbers } from "../lib/data.ts";
import { timeMs } from "../lib/time.ts";
import { MIB } from "./blobs.ts";

interface Sizes {
  readonly clients: number;
  readonly bodyMiB: number;
}

const SENDFILE = "the kernel sends the file to the socket by itself, where a stream is copied through JavaScript.";

function httpRow(clients: number, bodyMiB: number): Row {
  return row<Sizes>({
    name: clients === 1 ? "http" : `http-${clients}`,
    unit: "ms",
    rounds: 12,
    full: { clients, bodyMiB },
    quick: { clients, bodyMiB: 2 },
    title: ({ clients, bodyMiB }) =>
      `a blob of ${bodyMiB} MiB over HTTP to ${clients === 1 ? "one client" : `${clients} clients at once`}`,
    contestants: {
      "cellar stream": cellar(serving(cellarBody)),
      "Bun.file": peer(SENDFILE, serving(fileBody)),
    },
    targets: [
      {
        says: "Bun.file ÷ cellar stream",
        of: ({ ratio }) => ratio("Bun.file", "cellar stream"),
        unit: "×",
        atLeast: 0.7,
        missed:
          "A stream makes a copy of each chunk and passes it through JavaScript; the kernel sends a file by itself.",
      },
    ],
  });
}

export const http: Row = httpRow(1, 64);
export const http8: Row = httpRow(8, 16);

/** Makes the body of each response. */
type Body = (bytes: Uint8Array, folder: string) => () => Bun.BodyInit;

function serving(makeBody: Body): Start<Sizes> {
  return async ({ clients, bodyMiB }, folder) => {
    const words = Uint32Array.from({ length: (bodyMiB * MIB) / 4 }, randomNumbers());
    const body = makeBody(new Uint8Array(words.buffer), folder);
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response(body()) });
    const client = new Helper("http-client.ts");
    await client.answer();
    const url = `http://127.0.0.1:${server.port}/`;
    return {
      async slice() {
        let answer = "";
        const tookMs = await timeMs(async () => void (answer = await client.ask(`${url} ${clients}`)));
        if (!(Number(answer) >= bodyMiB * MIB)) throw new Error(`a download ended after ${answer} bytes`);
        return tookMs;
      },
      finish: async () => ({ digest: await client.ask(url) }),
      async close() {
        await client.close();
        await server.stop(true);
      },
    };
  };
}

function cellarBody(bytes: Uint8Array, folder: string): () => Bun.BodyInit {
  const path = join(folder, "served.cellar");
  {
    using writer = StorageWriter.create(path);
    writer.root = writer.write(bytes);
  }
  const reader = StorageReader.open(path);
  return () => reader.stream(reader.root ?? 0);
}

function fileBody(bytes: Uint8Array, folder: string): () => Bun.BodyInit {
  const path = join(folder, "served.file");
  writeFileSync(path, bytes);
  return () => Bun.file(path);
}
