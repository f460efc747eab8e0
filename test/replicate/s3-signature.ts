/** Checks the signature of a request as a server does, from what arrived: written from the manual, and imports nothing of src/. */

import { createHash, createHmac } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

export interface Arrived {
  readonly method: string;
  readonly path: string;
  readonly search: string;
  readonly headers: IncomingHttpHeaders;
}

/** What must be signed wherever it is sent: a proxy could drop it unseen. */
const SIGNED = ["host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "if-none-match", "range"];
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/;

/** The code that S3 answers with, or null if all is well. */
export function signatureFault(
  { method, path, search, headers }: Arrived,
  credentials: { readonly accessKeyId: string; readonly secretAccessKey: string; readonly region: string },
): string | null {
  const [whole, id, day = "", region = "", names = "", signature] =
    AUTHORIZATION.exec(headers.authorization ?? "") ?? [];
  if (whole === undefined) return "AccessDenied";
  if (region !== credentials.region) return "AuthorizationHeaderMalformed";
  if (id !== credentials.accessKeyId) return "InvalidAccessKeyId";
  const signed = names.split(";");
  const date = String(headers["x-amz-date"]);
  const isComplete = SIGNED.every((name) => headers[name] === undefined || signed.includes(name));
  if (!isComplete || !date.startsWith(day) || signed.join() !== [...signed].sort().join()) return "AccessDenied";

  const query = search === "" ? [] : search.split("&").sort();
  const lines = signed.map((name) => `${name}:${String(headers[name]).trim()}\n`);
  const canonical = [method, path, query.join("&"), lines.join(""), names, headers["x-amz-content-sha256"]].join("\n");
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", date, scope, createHash("sha256").update(canonical).digest("hex")].join("\n");
  let key: string | Buffer = `AWS4${credentials.secretAccessKey}`;
  for (const part of scope.split("/")) key = createHmac("sha256", key).update(part).digest();
  return createHmac("sha256", key).update(text).digest("hex") === signature ? null : "SignatureDoesNotMatch";
}
