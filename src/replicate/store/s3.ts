/**
 * Object storage by the protocol of S3: AWS, R2, MinIO, Ceph. A few requests over `fetch`, with retries within a
 * deadline.
 */

import { printable, StorageError, wrongType } from "../../error.ts";
import { CredentialSource } from "./credentials.ts";
import { withDeadline } from "./deadline.ts";
import { type Failure, failureOf, isExpiry, networkFailure, type Operation } from "./s3-errors.ts";
import { EMPTY_HASH, hashBody, type S3Answer, type S3Request, send } from "./s3-request.ts";
import { bucketUrl, DEFAULT_REGION, encodeKey, isRegion, s3Target, type S3Target } from "./s3-target.ts";
import { parseFault, parseListing, type S3Fault, type S3Listing } from "./s3-xml.ts";
import {
  type CallOptions,
  checkKey,
  checkObjectSize,
  type Credentials,
  type GetOptions,
  isKey,
  type ListOptions,
  MAX_OBJECT_BYTES,
  type ObjectStore,
  type PutOptions,
  type StoreOptions,
} from "./store.ts";

const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 100;
const DAY_MS = 24 * 60 * 60 * 1000;
const MINUTE_MS = 60_000;
/** The most keys in one answer of S3. */
const PAGE_KEYS = 1000;
/** The most empty pages of a listing in a row: a store may skip many deleted keys, but the listing must end. */
const MAX_EMPTY_PAGES = 1000;
/** Longer than any listing of a thousand keys. */
const MAX_TEXT_BYTES = 8 * 1024 * 1024;

interface Call extends Omit<S3Request, "url" | "bodyHash" | "mostBytes"> {
  readonly operation: Operation;
  /** Empty for the bucket. */
  readonly key?: string;
  /** For messages. */
  readonly about: string;
  readonly signal: AbortSignal | undefined;
  readonly bodyHash?: string;
  readonly mostBytes?: number;
  /** The statuses that count as answers, each with its required S3 code, if any. */
  readonly answers: Readonly<Record<number, string | null>>;
}

export class S3Store implements ObjectStore {
  readonly url: string;
  readonly #target: S3Target;
  readonly #credentials: CredentialSource;
  readonly #timeoutMs: number;
  #region: string;
  #hasTakenRegion = false;
  readonly #accepted = new Set<Operation>();

  /** @throws TypeError, STORE_REFUSED */
  constructor(target: string, options: StoreOptions, timeoutMs: number) {
    this.#target = s3Target(target, options);
    this.#credentials = new CredentialSource(options);
    this.#timeoutMs = timeoutMs;
    this.#region = this.#target.region ?? DEFAULT_REGION;
    this.url = `s3://${this.#target.bucket}/${this.#target.prefix}`;
  }

  async get(key: string, { firstBytes, signal }: GetOptions = {}): Promise<Uint8Array<ArrayBuffer> | null> {
    const isWhole = firstBytes === undefined;
    if (!isWhole && !(Number.isSafeInteger(firstBytes) && firstBytes > 0))
      throw wrongType("firstBytes", "a count of bytes", firstBytes);
    const answer = await this.#call({
      operation: "get",
      about: key,
      method: "GET",
      key: checkKey(key),
      headers: isWhole ? {} : { range: `bytes=0-${firstBytes - 1}` },
      mostBytes: Math.min(firstBytes ?? MAX_OBJECT_BYTES, MAX_OBJECT_BYTES),
      // 416: no byte of an empty object is in any range.
      answers: isWhole
        ? { 200: null, 404: "NoSuchKey" }
        : { 200: null, 206: null, 404: "NoSuchKey", 416: "InvalidRange" },
      signal,
    });
    if (answer.status === 404) return null;
    if (answer.status === 416) return new Uint8Array(0);
    if (isWhole && answer.isCut) checkObjectSize(Infinity, `${this.url}${key}`);
    return answer.bytes;
  }

  async put(
    key: string,
    bytes: Uint8Array,
    { ifAbsent = false, signal }: PutOptions = {},
  ): Promise<"created" | "exists"> {
    checkObjectSize(bytes.length, `${this.url}${checkKey(key)}`);
    signal?.throwIfAborted();
    const answer = await this.#call({
      operation: ifAbsent ? "create" : "put",
      about: key,
      method: "PUT",
      key,
      headers: ifAbsent ? { "if-none-match": "*" } : {},
      body: bytes,
      bodyHash: await hashBody(bytes),
      answers: ifAbsent ? { 200: null, 412: null } : { 200: null },
      signal,
    });
    return answer.status === 412 ? "exists" : "created";
  }

  async list(prefix: string, { after = "", most = Infinity, signal }: ListOptions = {}): Promise<string[]> {
    const keys: string[] = [];
    let token: string | null = null;
    let emptyPages = 0;
    while (keys.length < most) {
      const page: S3Listing = await this.#listPage(
        prefix,
        after,
        Math.min(PAGE_KEYS, most - keys.length),
        token,
        signal,
      );
      for (const whole of page.keys) {
        const key = whole.slice(this.#target.prefix.length);
        const isHere = whole.startsWith(this.#target.prefix + prefix);
        if (!isHere || key <= (keys.at(-1) ?? after)) throw this.#disordered(prefix);
        // Other programs may keep objects there too.
        if (isKey(key) && keys.length < most) keys.push(key);
      }
      if (!page.isTruncated) break;
      emptyPages = page.keys.length === 0 ? emptyPages + 1 : 0;
      if (page.continuation === null || page.continuation === token || emptyPages > MAX_EMPTY_PAGES)
        throw this.#disordered(prefix);
      token = page.continuation;
    }
    return keys;
  }

  async delete(key: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#call({
      operation: "delete",
      about: key,
      method: "DELETE",
      key: checkKey(key),
      answers: { 200: null, 204: null, 404: "NoSuchKey" },
      signal,
    });
  }

  async #listPage(
    prefix: string,
    after: string,
    most: number,
    token: string | null,
    signal: AbortSignal | undefined,
  ): Promise<S3Listing> {
    const query: [name: string, value: string][] = [
      ["list-type", "2"],
      ["max-keys", String(most)],
      ["prefix", this.#target.prefix + prefix],
    ];
    if (token !== null) query.push(["continuation-token", token]);
    else if (after !== "") query.push(["start-after", this.#target.prefix + after]);
    const answer = await this.#call({
      operation: "list",
      about: prefix,
      method: "GET",
      query,
      mostBytes: MAX_TEXT_BYTES,
      answers: { 200: null },
      signal,
    });
    const listing = answer.isCut ? null : parseListing(new TextDecoder().decode(answer.bytes));
    if (listing !== null) return listing;
    const message = `${this.url}: list ${prefix}: the answer is not a listing of S3: check the endpoint`;
    throw new StorageError("STORE_REFUSED", message);
  }

  #disordered(prefix: string): StorageError {
    const message = `${this.url}: list ${prefix}: the listing is not sorted, or is of another prefix: use another store`;
    return new StorageError("STORE_REFUSED", message);
  }

  /** Sends a request until it is answered, as often as is safe. */
  #call(call: Call): Promise<S3Answer> {
    const what = `${this.url}: ${call.operation} ${call.about}`;
    return withDeadline(what, this.#timeoutMs, call.signal, async (ended) => {
      for (let attempt = 1; ; attempt++) {
        const credentials = await this.#credentials.get();
        const result = await this.#attempt(what, call, credentials, ended);
        if (!("error" in result)) return result;
        if (!result.mayRepeat || attempt === ATTEMPTS) throw withoutSecrets(result.error, credentials);
        await pause(FIRST_PAUSE_MS * 2 ** (attempt - 1) * (0.5 + Math.random() / 2), ended);
        ended.throwIfAborted();
      }
    });
  }

  async #attempt(what: string, call: Call, credentials: Credentials, ended: AbortSignal): Promise<S3Answer | Failure> {
    const { operation, key, answers } = call;
    const region = this.#region;
    const bucket = bucketUrl(this.#target, region);
    const url = key === undefined ? bucket : `${bucket}/${encodeKey(this.#target.prefix + key)}`;
    const request = { bodyHash: EMPTY_HASH, mostBytes: MAX_TEXT_BYTES, ...call, url };
    let answer: S3Answer;
    try {
      answer = await send(request, credentials, region, ended);
    } catch (thrown) {
      ended.throwIfAborted();
      return networkFailure(what, operation, thrown);
    }
    this.#checkClock(what, answer.clockAheadMs);
    const { status } = answer;
    const isSuccess = status < 300;
    const fault = isSuccess ? NO_FAULT : parseFault(new TextDecoder().decode(answer.bytes));
    const expected = answers[status];
    if (expected === null || (expected !== undefined && expected === fault.code)) {
      if (isSuccess) this.#accepted.add(operation);
      return answer;
    }
    const failure = failureOf(what, operation, status, fault, this.#accepted.has(operation));
    const mayRepeat = this.#takeRegion(answer, fault, region) || this.#renew(fault, credentials) || failure.mayRepeat;
    return { error: withClock(failure.error, fault, answer.clockAheadMs), mayRepeat };
  }

  /** Checks the clock: a wrong date would become the time of a record, and of all later ones. @throws STORE_REFUSED */
  #checkClock(what: string, aheadMs: number | null): void {
    if (aheadMs === null || Math.abs(aheadMs) <= DAY_MS) return;
    const message = `${what}: ${clockText(aheadMs)}: check the clock of this machine`;
    throw new StorageError("STORE_REFUSED", message);
  }

  /** Takes the region that the store names, once. Returns whether the request may be sent there. */
  #takeRegion(answer: S3Answer, fault: S3Fault, sentTo: string): boolean {
    const isHint = [301, 307, 400, 403].includes(answer.status);
    const named = answer.headers.get("x-amz-bucket-region") ?? fault.region;
    if (!isHint || !isRegion(named) || named === sentTo) return false;
    // Simultaneous calls get the same answer.
    if (this.#hasTakenRegion) return named === this.#region;
    this.#hasTakenRegion = true;
    this.#region = named;
    return true;
  }

  /** Marks the credentials as expired if the store reports it and new ones can be requested. Returns whether it did. */
  #renew(fault: S3Fault, credentials: Credentials): boolean {
    if (!isExpiry(fault) || !this.#credentials.canRenew) return false;
    this.#credentials.expire(credentials);
    return true;
  }
}

const NO_FAULT: S3Fault = { code: null, message: null, region: null };

function clockText(aheadMs: number): string {
  const minutes = Math.round(Math.abs(aheadMs) / MINUTE_MS);
  return `this machine's clock is ${minutes} minutes ${aheadMs > 0 ? "ahead of" : "behind"} the store's`;
}

function withClock(error: StorageError, { code }: S3Fault, aheadMs: number | null): StorageError {
  if (code !== "RequestTimeTooSkewed" || aheadMs === null) return error;
  return new StorageError(error.code, `${error.message} (${clockText(aheadMs)})`);
}

/** Removes secrets from a message: a server may repeat the request in it. */
function withoutSecrets(error: StorageError, { secretAccessKey, sessionToken }: Credentials): StorageError {
  const secrets = [secretAccessKey, sessionToken].filter((one) => one !== undefined);
  const message = secrets.reduce((text, secret) => text.replaceAll(secret, "***"), printable(error.message));
  return message === error.message ? error : new StorageError(error.code, message);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });
}
