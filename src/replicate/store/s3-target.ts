/** Finds the location of a bucket from the target, the options and the environment, and checks them once. */

import { StorageError, wrongType } from "../../error.ts";
import { encodeUri } from "./sign.ts";
import type { StoreOptions } from "./store.ts";

/** The characters of a host name. The region becomes a part of one, and may come from a server. */
const REGION = /^[a-z0-9-]{1,63}$/;
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/;
const DIRECTORY_BUCKET = /--x-s3$/;
const AWS_REGION_OF_HOST = /(?:^|\.)s3[.-]([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$/;
export const DEFAULT_REGION = "us-east-1";

export interface S3Target {
  readonly bucket: string;
  /** The prefix of every key: empty, or with a `/` at the end. */
  readonly prefix: string;
  /** The server; null for AWS, where it depends on the region. */
  readonly endpoint: URL | null;
  /** Null if the store must be asked for it. */
  readonly region: string | null;
}

/** @throws TypeError, STORE_REFUSED a kind of bucket that cannot hold a replica */
export function s3Target(target: string, options: StoreOptions): S3Target {
  // Never quote it in a message: a URL with an @ contains credentials.
  const [, bucket = "", path = ""] = /^s3:\/\/([^/]*)(?:\/(.*))?$/is.exec(target) ?? [];
  if (bucket.includes("@")) throw new TypeError("target: credentials belong in the options or the environment");
  if (!BUCKET.test(bucket))
    throw wrongType("target", "s3://bucket/prefix, with a bucket of letters, digits, . - _", bucket);
  if (DIRECTORY_BUCKET.test(bucket)) {
    const message = `s3://${bucket}: a directory bucket lists in no order: use a general purpose bucket`;
    throw new StorageError("STORE_REFUSED", message);
  }
  const segments = path.replace(/\/+$/, "").split("/");
  const prefix = segments.length === 1 && segments[0] === "" ? "" : `${segments.join("/")}/`;
  if (prefix !== "" && segments.some((one) => one === "" || one === "." || one === ".." || /[\x00-\x1f\x7f]/.test(one)))
    throw wrongType("target", "a prefix without empty names, . and ..", prefix);
  const endpoint = endpointFrom(options.endpoint);
  return { bucket, prefix, endpoint, region: regionFrom(options.region, endpoint) };
}

function endpointFrom(option: string | undefined): URL | null {
  const text = option ?? fromEnvironment("S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT");
  if (text === undefined) return null;
  const expected = "https://host or http://host:port, without credentials and query";
  if (typeof text !== "string") throw wrongType("endpoint", expected, text);
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`);
  const isPlain = url !== null && url.username === "" && url.password === "" && url.search === "" && url.hash === "";
  if (!isPlain || !/^https?:$/.test(url.protocol)) throw new TypeError(`endpoint: expected ${expected}`);
  return url;
}

function regionFrom(option: string | undefined, endpoint: URL | null): string | null {
  const region = option ?? fromEnvironment("S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION");
  if (region === undefined) return AWS_REGION_OF_HOST.exec(endpoint?.hostname ?? "")?.[1] ?? null;
  if (!isRegion(region)) throw wrongType("region", "the name of a region: a-z, 0-9 and -", region);
  return region;
}

/** Tells whether a text, which may come from a server, can be a region. */
export function isRegion(text: unknown): text is string {
  return typeof text === "string" && REGION.test(text);
}

/** The first of these variables that has a value. */
export function fromEnvironment(...names: readonly string[]): string | undefined {
  return names.map((name) => process.env[name]).find((value) => value !== undefined && value !== "");
}

/** The URL of the bucket, without a slash at its end. */
export function bucketUrl({ bucket, endpoint }: S3Target, region: string): string {
  if (endpoint !== null) return `${endpoint.origin}${endpoint.pathname.replace(/\/+$/, "")}/${bucket}`;
  const domain = region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
  // The certificate of AWS covers one name before its domain, and a dot would make two.
  const isName = /^[a-z0-9-]+$/.test(bucket);
  return isName ? `https://${bucket}.s3.${region}.${domain}` : `https://s3.${region}.${domain}/${bucket}`;
}

/** Encodes a key for the path of a URL. */
export function encodeKey(key: string): string {
  return key.split("/").map(encodeUri).join("/");
}
