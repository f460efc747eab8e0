/**
 * An S3 server in memory, on 127.0.0.1, for tests: it checks signatures by code of its own, and fails on request. Only
 * what replication asks for: GET, PUT with `If-None-Match`, DELETE, and the listing of version 2.
 */

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { signatureFault } from "./s3-signature.ts";

/** What goes wrong with a request. */
export type Failing =
  /** The connection is closed, and nothing has happened. */
  | "reset"
  /** The request takes effect, then the connection is closed. */
  | "lost"
  /** The connection is closed; the request takes effect when `deliver` is called. */
  | "late"
  /** There is never an answer, and nothing has happened. */
  | "silent"
  /** The body of the answer comes in pieces, with pauses. */
  | "slow"
  /** The connection is closed half-way through the answer's body. */
  | "cut"
  /** The answer is an error. */
  | { readonly status: number; readonly code?: string; readonly message?: string };

export interface Seen {
  readonly method: string;
  /** Null for the bucket. */
  readonly key: string | null;
  readonly isConditional: boolean;
}

interface Fault {
  readonly failing: Failing;
  readonly matches: (seen: Seen) => boolean;
  left: number;
}

interface Answer {
  readonly status: number;
  readonly body?: string | Uint8Array;
  readonly headers?: Record<string, string>;
}

const PAUSE_MS = 5;
const SKEW_MS = 15 * 60_000;

export class S3Server implements AsyncDisposable {
  readonly bucket: string = "cellar";
  readonly accessKeyId: string = "AKIDTEST";
  readonly secretAccessKey: string = "a secret that must not appear".replaceAll(" ", "-");
  /** Requests must carry it. */
  sessionToken: string | undefined;
  /** Tokens that were good once. */
  readonly expiredTokens: Set<string> = new Set();
  region = "us-east-1";
  /** How far this server's clock is ahead. */
  clockMs = 0;
  /** Without the right to list, a missing object is refused. */
  mayList = true;
  /** What `If-None-Match` does. */
  condition: "kept" | "ignored" | "refused" = "kept";
  /** The longest page of a listing. */
  pageKeys = 1000;
  readonly objects: Map<string, Uint8Array> = new Map();
  /** Every request that was seen, in order. */
  readonly seen: Seen[] = [];
  readonly #faults: Fault[] = [];
  readonly #late: (() => void)[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<S3Server> {
    const server = new S3Server();
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The options of a store here. */
  get options(): {
    endpoint: string;
    region: string;
    accessKeyId: string;
    secretAccessKey: string;
    sessionToken?: string;
  } {
    const { endpoint, region, accessKeyId, secretAccessKey, sessionToken } = this;
    const token = sessionToken === undefined ? {} : { sessionToken };
    return { endpoint, region, accessKeyId, secretAccessKey, ...token };
  }

  /** The next `times` requests that match fail. */
  fail(failing: Failing, times: number = Infinity, matches: (seen: Seen) => boolean = () => true): void {
    this.#faults.push({ failing, matches, left: times });
  }

  /** Ends all faults. */
  heal(): void {
    this.#faults.length = 0;
  }

  /** Lets the late requests take effect, in their order. */
  deliver(): void {
    for (const act of this.#late.splice(0)) act();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = "", search = ""] = (request.url ?? "").split("?");
    const [, bucket, ...rest] = path.split("/").map(decodeURIComponent);
    const key = rest.length === 0 || rest.join("/") === "" ? null : rest.join("/");
    const method = request.method ?? "";
    const isConditional = request.headers["if-none-match"] !== undefined;
    const seen: Seen = { method, key, isConditional };
    this.seen.push(seen);
    const fault = this.#faults.find(({ left, matches }) => left > 0 && matches(seen));
    if (fault !== undefined) fault.left--;
    const failing = fault?.failing;

    if (failing === "silent") return;
    if (failing === "reset") return void request.socket.destroy();
    const body = await bodyOf(request);
    if (typeof failing === "object") {
      return this.#answer(response, error(failing.status, failing.code ?? "", failing.message ?? ""));
    }
    const act = (): Answer =>
      this.#refuse(request, path, search, bucket ?? "", body) ??
      this.#act(seen, new URLSearchParams(search), body, request);
    if (failing === "late") {
      this.#late.push(act);
      return void request.socket.destroy();
    }
    const answer = act();
    if (failing === "lost") return void request.socket.destroy();
    await this.#answer(response, answer, failing, request);
  }

  /** What is wrong with a request, whatever it asks. */
  #refuse(request: IncomingMessage, path: string, search: string, bucket: string, body: Uint8Array): Answer | null {
    const { headers } = request;
    const sentMs = Date.parse(String(headers["x-amz-date"]).replace(/^(....)(..)(..T..)(..)(..Z)$/, "$1-$2-$3:$4:$5"));
    if (!(Math.abs(sentMs - this.#now()) <= SKEW_MS))
      return error(
        403,
        "RequestTimeTooSkewed",
        "The difference between the request time and the server's time is too large.",
      );
    if (request.method === "PUT" && headers["content-length"] === undefined)
      return error(411, "MissingContentLength", "");
    const token = headers["x-amz-security-token"];
    if (token !== undefined && this.expiredTokens.has(String(token)))
      return error(400, "ExpiredToken", `The provided token has expired: ${String(token)}`);
    if (token !== this.sessionToken) return error(403, "InvalidToken", "The security token is not valid");
    const credentials = { accessKeyId: this.accessKeyId, secretAccessKey: this.secretAccessKey, region: this.region };
    const wrong = signatureFault({ method: request.method ?? "", path, search, headers }, credentials);
    if (wrong === "AuthorizationHeaderMalformed") {
      const answer = error(400, wrong, `the region is wrong`, `<Region>${this.region}</Region>`);
      return { ...answer, headers: { "x-amz-bucket-region": this.region } };
    }
    if (wrong !== null) return error(403, wrong, `not signed by ${this.accessKeyId}: ${String(headers.authorization)}`);
    if (createHash("sha256").update(body).digest("hex") !== headers["x-amz-content-sha256"])
      return error(400, "XAmzContentSHA256Mismatch", "the body is another one");
    if (bucket !== this.bucket) return error(404, "NoSuchBucket", "The specified bucket does not exist");
    return null;
  }

  #act(
    { method, key, isConditional }: Seen,
    query: URLSearchParams,
    body: Uint8Array,
    request: IncomingMessage,
  ): Answer {
    if (key === null) return method === "GET" ? this.#list(query) : error(405, "MethodNotAllowed", "");
    const object = this.objects.get(key);
    if (method === "PUT") {
      if (isConditional && this.condition === "refused") return error(501, "NotImplemented", "no conditions here");
      if (isConditional && this.condition === "kept" && object !== undefined)
        return error(412, "PreconditionFailed", "");
      this.objects.set(key, body);
      return { status: 200 };
    }
    if (method === "DELETE") {
      this.objects.delete(key);
      return { status: 204 };
    }
    if (method !== "GET") return error(405, "MethodNotAllowed", "");
    if (object === undefined)
      return this.mayList ? error(404, "NoSuchKey", "") : error(403, "AccessDenied", "Access Denied");
    const [, from = "", to = ""] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    if (from === "") return { status: 200, body: object };
    if (Number(from) >= object.length) return error(416, "InvalidRange", "");
    return { status: 206, body: object.subarray(Number(from), Number(to) + 1) };
  }

  #list(query: URLSearchParams): Answer {
    if (!this.mayList) return error(403, "AccessDenied", "Access Denied");
    if (query.get("list-type") !== "2") return error(501, "NotImplemented", "");
    const after = query.get("continuation-token") ?? query.get("start-after") ?? "";
    const prefix = query.get("prefix") ?? "";
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    const page = keys.slice(0, Math.min(Number(query.get("max-keys") ?? 1000), this.pageKeys));
    const escape = (text: string): string => text.replace(/[&<>]/g, (one) => `&#${one.charCodeAt(0)};`);
    const contents = page.map((key) => `<Contents><Key>${escape(key)}</Key><Size>1</Size></Contents>`).join("");
    const isTruncated = page.length < keys.length;
    const next = isTruncated ? `<NextContinuationToken>${escape(page.at(-1) ?? "")}</NextContinuationToken>` : "";
    const body = `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>cellar</Name><Prefix>${escape(prefix)}</Prefix><IsTruncated>${isTruncated}</IsTruncated>${next}${contents}</ListBucketResult>`;
    return { status: 200, body };
  }

  async #answer(response: ServerResponse, answer: Answer, failing?: Failing, request?: IncomingMessage): Promise<void> {
    const body = Buffer.from(answer.body ?? "");
    response.writeHead(answer.status, {
      ...answer.headers,
      date: new Date(this.#now()).toUTCString(),
      ...(answer.status === 204 ? {} : { "content-length": body.length }),
    });
    if (failing !== "slow" && failing !== "cut") return void response.end(body);
    const end = failing === "cut" ? body.length / 2 : body.length;
    const step = Math.ceil(body.length / 10);
    for (let start = 0; start < end; start += step) {
      response.write(body.subarray(start, Math.min(end, start + step)));
      await Bun.sleep(PAUSE_MS);
    }
    if (failing === "cut") request?.socket.destroy();
    else response.end();
  }

  #now(): number {
    return Date.now() + this.clockMs;
  }
}

function error(status: number, code: string, message: string, more = ""): Answer {
  if (code === "") return { status, body: "" };
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message>${more}</Error>`;
  return { status, body };
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return new Uint8Array(Buffer.concat(pieces));
}
