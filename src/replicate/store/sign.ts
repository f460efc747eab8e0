/**
 * AWS Signature Version 4, in a header: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
 * Signs every given header, so that no proxy can drop one unnoticed.
 */

import type { Credentials } from "./store.ts";

export interface UnsignedRequest {
  readonly method: string;
  /** As it is sent: each segment is encoded by {@link encodeUri}. */
  readonly path: string;
  /** Names and values, not encoded. */
  readonly query: readonly (readonly [name: string, value: string])[];
  /** Names in lower case; `host` and `x-amz-date` among them. */
  readonly headers: Readonly<Record<string, string>>;
  /** The SHA-256 of the body, in hex. */
  readonly bodyHash: string;
}

export interface Scope {
  readonly time: Date;
  readonly region: string;
  readonly service: string;
}

const ALGORITHM = "AWS4-HMAC-SHA256";
const UNRESERVED = /^[A-Za-z0-9._~-]$/;

/** The value of the `authorization` header. */
export function authorization(request: UnsignedRequest, credentials: Credentials, scope: Scope): string {
  const names = Object.keys(request.headers).sort();
  const signedHeaders = names.join(";");
  const canonicalRequest = [
    request.method,
    request.path,
    encodeQuery(request.query),
    ...names.map((name) => `${name}:${(request.headers[name] ?? "").trim().replace(/ +/g, " ")}`),
    "",
    signedHeaders,
    request.bodyHash,
  ].join("\n");
  const stamp = timestamp(scope.time);
  const steps = [stamp.slice(0, 8), scope.region, scope.service, "aws4_request"];
  const toSign = [ALGORITHM, stamp, steps.join("/"), sha256(canonicalRequest)].join("\n");
  const start: Uint8Array = new TextEncoder().encode(`AWS4${credentials.secretAccessKey}`);
  const signature = hmac(steps.reduce(hmac, start), toSign).toHex();
  const credential = `${credentials.accessKeyId}/${steps.join("/")}`;
  return `${ALGORITHM} Credential=${credential}, SignedHeaders=${signedHeaders}, Signature=${signature}`;
}

/** Formats a time for `x-amz-date`. */
export function timestamp(time: Date): string {
  return time.toISOString().replace(/[-:]|\.\d+/g, "");
}

/** The query as it is signed and sent: encoded, then sorted. */
export function encodeQuery(query: UnsignedRequest["query"]): string {
  const encoded = query.map(([name, value]) => [encodeUri(name), encodeUri(value)] as const);
  encoded.sort(([a, x], [b, y]) => (a === b ? Number(x > y) - Number(x < y) : Number(a > b) - Number(a < b)));
  return encoded.map((pair) => pair.join("=")).join("&");
}

/** Percent-encodes all but letters, digits and `-._~`. */
export function encodeUri(text: string): string {
  const bytes = [...new TextEncoder().encode(text)];
  const encode = (byte: number): string => {
    const unit = String.fromCharCode(byte);
    return UNRESERVED.test(unit) ? unit : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  };
  return bytes.map(encode).join("");
}

export function sha256(data: string | Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(data).digest("hex");
}

function hmac(key: Uint8Array, text: string): Uint8Array {
  return new Bun.CryptoHasher("sha256", key).update(text).digest();
}
