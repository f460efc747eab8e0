/** Where a replica is: an address, or a store that was opened. */

import { wrongType } from "../error.ts";
import { openStore } from "./store/open.ts";
import type { ObjectStore } from "./store/store.ts";

/** `s3://bucket/prefix`, a `file:` URL, a folder's path, or a store. */
export type Target = string | URL | ObjectStore;

/** @throws TypeError; as `openStore` */
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
