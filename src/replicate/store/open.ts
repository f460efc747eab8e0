/** Opens the store of a target: an address, or a store that the caller opened. Nothing is read or sent. */

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { StorageError, wrongType } from "../../error.ts";
import { FolderStore } from "./folder.ts";
import { S3Store } from "./s3.ts";
import type { ObjectStore, StoreOptions } from "./store.ts";

const DEFAULT_TIMEOUT_MS = 60_000;
/** The longest timeout of setTimeout. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** `s3://bucket/prefix`, a `file:` URL, a folder's path, or a store. */
export type Target = string | URL | ObjectStore;

/**
 * Opens the store of a target: `s3://bucket/prefix`, a `file:` URL, or the path of a folder.
 * @throws TypeError a target or an option is invalid; UNSUPPORTED another kind of URL
 * @throws STORE_REFUSED no credentials, or a kind of bucket that cannot hold a replica
 */
export function openStore(target: string | URL, options: StoreOptions = {}): ObjectStore {
  const text = target instanceof URL ? target.href : target;
  if (typeof text !== "string" || text === "" || text.includes("\0"))
    throw wrongType("target", "a path or a URL", text);
  const timeoutMs = timeoutFrom(options.timeoutMs);
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1]?.toLowerCase();
  if (scheme === "s3") return new S3Store(target instanceof URL ? decodeURI(text) : text, options, timeoutMs);
  if (scheme === "file") return new FolderStore(fileURLToPath(text), timeoutMs);
  if (scheme !== undefined && /^[^:]*:\/\//.test(text)) {
    const message = `${scheme}: unknown kind of target: use s3://bucket/prefix (with the server as endpoint), a file: URL or a path`;
    throw new StorageError("UNSUPPORTED", message);
  }
  return new FolderStore(resolve(text), timeoutMs);
}

/** Returns the store of a target. @throws TypeError; as `openStore` */
export function openTarget(target: Target): ObjectStore {
  if (typeof target === "string" || target instanceof URL) return openStore(target);
  if (isStore(target)) return target;
  throw wrongType("target", "an address or a store", target);
}

function isStore(value: unknown): value is ObjectStore {
  if (typeof value !== "object" || value === null) return false;
  const store = value as Record<string, unknown>;
  return (
    typeof store["url"] === "string" &&
    ["get", "put", "list", "delete"].every((name) => typeof store[name] === "function")
  );
}

function timeoutFrom(timeoutMs: number = DEFAULT_TIMEOUT_MS): number {
  if (typeof timeoutMs === "number" && timeoutMs >= 1 && timeoutMs <= MAX_TIMEOUT_MS) return timeoutMs;
  throw wrongType("timeoutMs", `milliseconds from 1 to ${MAX_TIMEOUT_MS}`, timeoutMs);
}
