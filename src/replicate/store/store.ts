/**
 * The interface of object storage for replication: whole objects under short keys, created at most once if required.
 * The code above it defines the content of objects.
 */

import { StorageError, wrongType } from "../../error.ts";

/** Options of every call. */
export interface CallOptions {
  /** Cancels the call, which rejects with the signal's reason. A `put` or `delete` under way may still take effect. */
  readonly signal?: AbortSignal | undefined;
}

export interface GetOptions extends CallOptions {
  /** Reads at most the first bytes of the object. */
  readonly firstBytes?: number | undefined;
}

export interface PutOptions extends CallOptions {
  /** Creates the object, or changes nothing if it exists. Default: replaces an existing object. */
  readonly ifAbsent?: boolean | undefined;
}

export interface ListOptions extends CallOptions {
  /** Lists only keys after this one. */
  readonly after?: string | undefined;
  /** The limit of keys. Default: no limit. */
  readonly most?: number | undefined;
}

/**
 * Object storage under one prefix. Keys are relative to it, and made of `0-9`, `a-z`, `-` and `/`. Every call ends
 * within the store's deadline; a `list` has this deadline for each page. All errors are rejections.
 * @throws STORE_UNREACHABLE no answer, or a temporary failure: try again. A `put` or a `delete` may have taken effect.
 * @throws STORE_REFUSED a permanent failure: credentials, rights, a wrong bucket or clock
 */
export interface ObjectStore {
  /** The target as a URL, for messages. It holds no credentials. */
  readonly url: string;
  /**
   * Returns the object's bytes, which the caller owns; null if there is no object.
   * @throws REPLICA_CORRUPT the object is longer than any object of a replica
   */
  get(key: string, options?: GetOptions): Promise<Uint8Array<ArrayBuffer> | null>;
  /**
   * Stores an object. It is durable when the call resolves. With `ifAbsent`, only one of several simultaneous calls
   * from any machines creates it, and at most one is answered "created". After "exists", read the object and compare
   * it: an earlier try of the same call may have created it, if its answer was lost.
   * @throws FENCING_UNSUPPORTED the store cannot create an object only if it is absent
   */
  put(key: string, bytes: Uint8Array, options?: PutOptions): Promise<"created" | "exists">;
  /** Lists the keys with the prefix, ascending. The list has every key whose `put` was answered before the call. */
  list(prefix: string, options?: ListOptions): Promise<string[]>;
  /** Deletes an object if it is there. */
  delete(key: string, options?: CallOptions): Promise<void>;
}

/** The credentials that sign requests to S3. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
  /** When they expire. The function is called again before that. */
  readonly expiration?: Date | undefined;
}

export interface StoreOptions {
  /** The S3 server, as `https://host`. Default: `S3_ENDPOINT`, `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, or AWS. */
  readonly endpoint?: string | undefined;
  /** Default: `S3_REGION`, `AWS_REGION`, `AWS_DEFAULT_REGION`, or the store's answer. */
  readonly region?: string | undefined;
  /** Default: `S3_ACCESS_KEY_ID`, or `AWS_ACCESS_KEY_ID`, with the two below from the same family. */
  readonly accessKeyId?: string | undefined;
  readonly secretAccessKey?: string | undefined;
  readonly sessionToken?: string | undefined;
  /**
   * A function that returns credentials. It is called again before they expire, or when the store reports that they
   * have expired.
   */
  readonly credentials?: (() => Credentials | Promise<Credentials>) | undefined;
  /** The deadline of a call in milliseconds, including its retries. Default: 60,000. */
  readonly timeoutMs?: number | undefined;
}

/** The limit of an object's size: twice that of a full record of 20 TB. Nothing longer is read or stored. */
export const MAX_OBJECT_BYTES: number = 160 * 1024 * 1024;

/** @throws REPLICA_CORRUPT */
export function checkObjectSize(sizeBytes: number, what: string): number {
  if (sizeBytes <= MAX_OBJECT_BYTES) return sizeBytes;
  const message = `${what}: ${sizeBytes} bytes, but no object of a replica has more than ${MAX_OBJECT_BYTES}`;
  throw new StorageError("REPLICA_CORRUPT", message);
}

const KEY = /^[0-9a-z-]+(?:\/[0-9a-z-]+)*$/;

/** Whether a name found in a store can be a key. */
export function isKey(name: string): boolean {
  return KEY.test(name);
}

/** @throws TypeError */
export function checkKey(key: string): string {
  if (!isKey(key)) throw wrongType("key", "names of 0-9, a-z and -, separated by /", key);
  return key;
}
