/**
 * Blobs over HTTP. They are streamed in and out, so a large blob takes no more memory than a small one:
 *
 *   bun examples/http-server.ts [FILE] [PORT]     default: a file in the temp folder, port 3000
 *   curl -T film.mp4 localhost:3000/film.mp4      stores it; the answer comes when it is durable
 *   curl -r 0-99 localhost:3000/film.mp4          its first 100 bytes
 *
 * Every upload adds an entry: a blob of JSON with the index of the content and the index of the entry before. The root
 * is the latest entry. The content at an index never changes, so the index is the ETag.
 */

import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Storage, StorageWriter } from "cellar";

interface Entry {
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
  /** The index of the content. */
  readonly index: number;
  /** The index of the entry before. */
  readonly previous: number | null;
}

/** The bytes `[from, to)` of a content. */
interface Part {
  readonly from: number;
  readonly to: number;
}

function* entriesOf(storage: Storage): Generator<Entry> {
  for (let index = storage.root; index !== null;) {
    const entry = JSON.parse(new TextDecoder().decode(storage.read(index))) as Entry;
    yield entry;
    index = entry.previous;
  }
}

async function upload(request: Request, name: string): Promise<Response> {
  const index = await writer.writeStream(request.body ?? new Blob([]).stream());
  const type = request.headers.get("content-type") ?? "application/octet-stream";
  // There is no `await` between reading and setting the root, so concurrent uploads do not lose entries.
  const entry: Entry = { name, type, bytes: writer.blobLength(index), index, previous: writer.root };
  writer.root = writer.write(Buffer.from(JSON.stringify(entry)));
  await writer.flush(); // Concurrent uploads share a flush.
  entries.set(name, entry);
  return new Response(null, { status: 201, headers: { ETag: etagOf(entry) } });
}

function download(request: Request, entry: Entry): Response {
  const headers = { ETag: etagOf(entry), "Accept-Ranges": "bytes", "Content-Type": entry.type };
  if (request.headers.get("if-none-match") === headers.ETag) return new Response(null, { status: 304, headers });
  const asked = partFrom(request.headers.get("range"), entry.bytes);
  if (asked === null) {
    return new Response(null, { status: 416, headers: { ...headers, "Content-Range": `bytes */${entry.bytes}` } });
  }
  const { from, to } = asked;
  const isWhole = to - from === entry.bytes;
  const said = { ...headers, "Content-Length": String(to - from) };
  const shown = isWhole ? said : { ...said, "Content-Range": `bytes ${from}-${to - 1}/${entry.bytes}` };
  const body = writer.stream(entry.index, { offset: from, length: to - from });
  return new Response(request.method === "HEAD" ? null : body, { status: isWhole ? 200 : 206, headers: shown });
}

/** The requested range; the whole content if there is no range or more than one; null if the range is past the end. */
function partFrom(header: string | null, bytes: number): Part | null {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === undefined || last === undefined || first + last === "") return { from: 0, to: bytes };
  const from = first === "" ? Math.max(0, bytes - Number(last)) : Number(first);
  const to = first === "" || last === "" ? bytes : Math.min(bytes, Number(last) + 1);
  return from < to ? { from, to } : null;
}

const etagOf = ({ index }: Entry): string => `"${index}"`;

const [path = join(tmpdir(), "http-server.cellar"), port = "3000"] = process.argv.slice(2);
if (path.startsWith("-") || !/^\d+$/.test(port)) {
  console.error("usage: bun examples/http-server.ts [FILE] [PORT]");
  process.exit(1);
}
process.once("uncaughtException", ({ message }) => {
  console.error(`http-server: ${message}`);
  process.exit(1);
});
// Open the port first: if it is in use, no file is made. Requests are answered after this module has run.
const server = Bun.serve({
  hostname: "localhost",
  port: Number(port),
  maxRequestBodySize: 2 ** 31,
  fetch(request) {
    const name = decodeURIComponent(new URL(request.url).pathname.slice(1));
    if (request.method === "PUT") return upload(request, name);
    const entry = entries.get(name);
    if (request.method !== "GET" && request.method !== "HEAD") return new Response("use PUT or GET\n", { status: 405 });
    if (entry === undefined) return new Response(`nothing is stored as ${name}\n`, { status: 404 });
    return download(request, entry);
  },
  error: (error) => (error instanceof URIError ? new Response("the name is not UTF-8\n", { status: 400 }) : undefined),
});
const writer = StorageWriter.openOrCreate(path, { headString: "cellar http", bytesPerCell: 64 });
const entries = new Map([...entriesOf(writer)].reverse().map((entry) => [entry.name, entry])); // The latest wins.
console.log(`${server.url}: ${entries.size} contents in ${path}`);

async function end(): Promise<void> {
  await server.stop(); // Waits for running downloads: they read the mapped file.
  writer.close();
}
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, end);
