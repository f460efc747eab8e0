/**
 * One request to S3: signed, sent once, and its answer read completely. Only the answer's length and time are checked.
 */

import { Slots, yieldToEventLoop } from "../../os/event-loop.ts";
import { authorization, encodeQuery, sha256, timestamp } from "./sign.ts";
import type { Credentials } from "./store.ts";

export interface S3Request {
  readonly method: "GET" | "PUT" | "DELETE";
  /** The URL without its query. */
  readonly url: string;
  readonly query?: readonly (readonly [name: string, value: string])[];
  /** Names in lower case. All are signed. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** The SHA-256 of the body, in hex. */
  readonly bodyHash: string;
  /** The limit of bytes read from the body of a success. If there are more, `isCut` is true. */
  readonly mostBytes: number;
}

export interface S3Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly isCut: boolean;
  /** The least difference of the clocks; negative if the local clock is behind. Null if the answer has no date. */
  readonly clockAheadMs: number | null;
}

export const EMPTY_HASH: string = sha256("");
/** How many bytes of an error's body are read. */
const MAX_FAULT_BYTES = 64 * 1024;
/** Hashing this much takes some 0.3 ms. Then the event loop runs other work. */
const STEP_BYTES = 512 * 1024;
/** Long bodies are hashed one after the other, so that the first is sent while the next is hashed. */
const hashing: Slots = new Slots(1);
const PIECE_BYTES = 1024 * 1024;

/** The SHA-256 of bytes, in hex, without holding the event loop for long. */
export async function hashBody(bytes: Uint8Array): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  if (bytes.length <= STEP_BYTES) return hasher.update(bytes).digest("hex");
  await hashing.run(async () => {
    for (let start = 0; start < bytes.length; start += STEP_BYTES) {
      if (start > 0) await yieldToEventLoop();
      hasher.update(bytes.subarray(start, start + STEP_BYTES));
    }
  });
  return hasher.digest("hex");
}

/** Throws what `fetch` throws: the signal's reason, or an error of the network. */
export async function send(
  request: S3Request,
  credentials: Credentials,
  region: string,
  signal: AbortSignal,
): Promise<S3Answer> {
  const { method, bodyHash, query = [], body } = request;
  const url = new URL(request.url);
  const time = new Date();
  const headers: Record<string, string> = {
    ...request.headers,
    host: url.host,
    "x-amz-content-sha256": bodyHash,
    "x-amz-date": timestamp(time),
  };
  if (credentials.sessionToken !== undefined) headers["x-amz-security-token"] = credentials.sessionToken;
  const unsigned = { method, path: url.pathname, query, headers, bodyHash };
  const signature = authorization(unsigned, credentials, { time, region, service: "s3" });
  url.search = encodeQuery(query);
  const response = await fetch(url, {
    method,
    headers: {
      ...headers,
      authorization: signature,
      // Ask for uncompressed bytes, so that no proxy compresses them, which would hide their length.
      "accept-encoding": "identity",
      ...(body !== undefined && { "content-length": String(body.length) }),
    },
    decompress: false,
    body: body !== undefined && body.length > PIECE_BYTES ? piecesOf(body) : (body ?? null),
    redirect: "manual",
    signal,
  });
  const clockAheadMs = clockAhead(response.headers.get("date"), time.getTime(), Date.now());
  const { bytes, isCut } = await readBody(response, response.ok ? request.mostBytes : MAX_FAULT_BYTES);
  return { status: response.status, headers: response.headers, bytes, isCut, clockAheadMs };
}

/** A body in pieces: fetch would copy the whole body at once, which takes memory and blocks the event loop. */
async function* piecesOf(body: Uint8Array): AsyncGenerator<Uint8Array, void> {
  for (let start = 0; start < body.length; start += PIECE_BYTES) yield body.subarray(start, start + PIECE_BYTES);
}

/** The store's date was taken at some time between sending and receiving. */
function clockAhead(date: string | null, sentMs: number, receivedMs: number): number | null {
  const storeMs = date === null ? NaN : Date.parse(date);
  if (Number.isNaN(storeMs)) return null;
  if (sentMs > storeMs) return sentMs - storeMs;
  return receivedMs < storeMs ? receivedMs - storeMs : 0;
}

/**
 * Reads the body, or its first `mostBytes`, into new memory. Throws if the answer ends early, because fetch checks the
 * length.
 */
async function readBody(
  response: Response,
  mostBytes: number,
): Promise<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly isCut: boolean }> {
  const announced = response.headers.get("content-length");
  // This takes half the memory of the loop below. The loop is for answers that are too long or of unknown length.
  if (announced !== null && Number(announced) <= mostBytes) {
    return { bytes: new Uint8Array(await response.arrayBuffer()), isCut: false };
  }
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of response.body ?? []) {
    pieces.push(piece.subarray(0, mostBytes - length));
    length += piece.length;
    // Leaving the loop cancels the rest of the body.
    if (length > mostBytes) break;
  }
  return { bytes: new Uint8Array(Buffer.concat(pieces)), isCut: length > mostBytes };
}
