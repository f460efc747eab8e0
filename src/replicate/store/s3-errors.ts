/** Interprets failed answers of S3: the error, and whether the same request may be repeated. */

import { type ErrorCode, printable, StorageError } from "../../error.ts";
import type { S3Fault } from "./s3-xml.ts";

export type Operation = "get" | "put" | "create" | "list" | "delete";

/** A request that got no answer, or an error. */
export interface Failure {
  readonly error: StorageError;
  /** Whether the request may be sent again at once. False if it may have taken effect and a repetition would matter. */
  readonly mayRepeat: boolean;
}

/**
 * Codes of S3, Ceph and MinIO for a request that had no effect, or whose damaged bytes were refused. A repetition may
 * succeed.
 */
const TRANSIENT: ReadonlySet<string> = new Set([
  "BadDigest",
  "IncompleteBody",
  "RequestTimeout",
  "SlowDown",
  "SlowDownRead",
  "SlowDownWrite",
  "ServiceUnavailable",
  "TooManyRequests",
  "XAmzContentSHA256Mismatch",
]);
const CONFLICTS: ReadonlySet<string> = new Set(["ConditionalRequestConflict", "OperationAborted"]);
const EXPIRED: ReadonlySet<string> = new Set(["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"]);
const CERTIFICATE = /CERT|SELF_SIGNED|ALTNAME|ERR_TLS|SSL/;

const advice: ReadonlyMap<string, string> = new Map([
  ["InvalidAccessKeyId", "check accessKeyId, and that it belongs to this server"],
  ["SignatureDoesNotMatch", "check secretAccessKey, and that no proxy changes requests"],
  ["NoSuchBucket", "create the bucket, or check its name, the endpoint and the region"],
  ["InvalidBucketName", "check the name of the bucket"],
  ["RequestTimeTooSkewed", "check the clock of this machine"],
  ["InvalidToken", "check sessionToken"],
  ["ExpiredToken", "the session token has expired: pass credentials(), which can renew it"],
  ["PermanentRedirect", "check endpoint and region"],
  ["TemporaryRedirect", "the bucket is being created: try again later, or check endpoint and region"],
  ["AuthorizationHeaderMalformed", "check the region"],
  ["AuthorizationQueryParametersError", "check the region"],
  ["NotImplemented", "use a store that supports this call"],
]);

const rights: Readonly<Record<Operation, string>> = {
  get: "allow s3:GetObject on the prefix, and s3:ListBucket on the bucket: without it a missing object is refused too",
  put: "allow s3:PutObject on the prefix",
  create: "allow s3:PutObject on the prefix",
  list: "allow s3:ListBucket on the bucket",
  delete: "allow s3:DeleteObject on the prefix (for prune only)",
};

/** Tells whether the store may accept new credentials. */
export function isExpiry({ code }: S3Fault): boolean {
  return code !== null && (EXPIRED.has(code) || code === "InvalidToken");
}

/**
 * @param what the target and the call, for the message
 * @param wasAccepted whether the store has accepted such a request before
 */
export function failureOf(
  what: string,
  operation: Operation,
  status: number,
  fault: S3Fault,
  wasAccepted: boolean,
): Failure {
  const { code } = fault;
  const said = faultText(status, fault);
  const fail = (errorCode: ErrorCode, text: string, mayRepeat = false): Failure => ({
    error: new StorageError(errorCode, `${what}: ${text}`),
    mayRepeat,
  });
  if (operation === "create") {
    if (status === 501 || code === "NotImplemented") {
      const text = "use a store that supports it: without it, two replicators could both write";
      return fail("FENCING_UNSUPPORTED", `the store does not support conditional PUT, it answered ${said}: ${text}`);
    }
    // Another conditional PUT of the key is under way, and this one had no effect.
    if (status === 409 && (code === null || CONFLICTS.has(code)))
      return fail("STORE_UNREACHABLE", `another request is creating the object, ${said}: try again`, true);
  }
  if (status === 408 || status === 429 || (code !== null && TRANSIENT.has(code)))
    return fail(
      "STORE_UNREACHABLE",
      `the store is overloaded, ${said}: try again later`,
      operation !== "create" || status === 429,
    );
  if (status >= 500 && status !== 501)
    return fail("STORE_UNREACHABLE", `the store failed, ${said}: try again later`, operation !== "create");
  if (status === 403 && wasAccepted && (operation === "create" || operation === "put"))
    return fail(
      "STORE_UNREACHABLE",
      `refused with ${said}, although accepted before: ${adviceOn(operation, status, fault)}`,
    );
  return fail("STORE_REFUSED", `refused with ${said}: ${adviceOn(operation, status, fault)}`);
}

/** Interprets an error of `fetch`, except the signal's reason. */
export function networkFailure(what: string, operation: Operation, thrown: unknown): Failure {
  const { code, message } = thrown as { code?: unknown; message?: unknown };
  // Leave out the rest of the message, which is advice about fetch().
  const text = printable(String(typeof message === "string" ? message : thrown).split(". ")[0] ?? "").slice(0, 200);
  const isCertificate = typeof code === "string" && CERTIFICATE.test(code);
  const error = isCertificate
    ? new StorageError(
        "STORE_REFUSED",
        `${what}: the server's certificate is not trusted (${code}): check the endpoint`,
        {
          cause: thrown,
        },
      )
    : new StorageError("STORE_UNREACHABLE", `${what}: ${text}: check the network and the endpoint`, { cause: thrown });
  return { error, mayRepeat: !isCertificate && operation !== "create" };
}

function adviceOn(operation: Operation, status: number, { code }: S3Fault): string {
  const known = advice.get(EXPIRED.has(code ?? "") ? "ExpiredToken" : (code ?? ""));
  if (known !== undefined) return known;
  if (status === 403) return rights[operation];
  if (code === null) return "check the endpoint: this may not be an S3 server";
  return "look this code up in the manual of the store";
}

/** Status, code and message, short and printable: they come from a server. */
function faultText(status: number, { code, message }: S3Fault): string {
  const name = code === null ? `${status}` : `${status} ${printable(code.slice(0, 60))}`;
  return message === null || message === "" ? name : `${name} (${printable(message.slice(0, 200))})`;
}
