/** Credentials of S3: from the options, the environment, or a function that is called again before they expire. */

import { StorageError, wrongType } from "../../error.ts";
import { fromEnvironment } from "./s3-target.ts";
import type { Credentials, StoreOptions } from "./store.ts";

/** Credentials are renewed this long before they expire: longer than a call takes, and more than clocks differ. */
const RENEWAL_MS = 5 * 60_000;

export class CredentialSource {
  readonly #ask: (() => Credentials | Promise<Credentials>) | null;
  #current: Credentials | null;
  #pending: Promise<Credentials> | null = null;

  /** @throws TypeError; STORE_REFUSED there are none */
  constructor(options: StoreOptions) {
    const { credentials } = options;
    if (credentials !== undefined && typeof credentials !== "function")
      throw wrongType("credentials", "a function that returns credentials", typeof credentials);
    this.#ask = credentials ?? null;
    this.#current = credentials === undefined ? fixedCredentials(options) : null;
  }

  /** Whether new credentials can be requested if the store refuses the current ones. */
  get canRenew(): boolean {
    return this.#ask !== null;
  }

  /** @throws STORE_UNREACHABLE the function failed, or did not return credentials */
  async get(): Promise<Credentials> {
    const left = (this.#current?.expiration?.getTime() ?? Infinity) - Date.now();
    if (this.#current !== null && left > RENEWAL_MS) return this.#current;
    this.#pending ??= this.#renew().finally(() => (this.#pending = null));
    try {
      return await this.#pending;
    } catch (error) {
      // The current credentials may still be valid for a while.
      if (this.#current !== null && left > 0) return this.#current;
      throw error;
    }
  }

  /** Marks the credentials as expired, as the store reports: the next call requests new ones. */
  expire(credentials: Credentials): void {
    if (this.#ask !== null && this.#current === credentials) this.#current = null;
  }

  async #renew(): Promise<Credentials> {
    let answer: unknown;
    try {
      answer = await this.#ask?.();
    } catch (cause) {
      throw new StorageError("STORE_UNREACHABLE", "credentials() failed: see the cause", { cause });
    }
    if (!areCredentials(answer)) {
      const expected = "accessKeyId, secretAccessKey, and optionally sessionToken and expiration (a Date)";
      throw new StorageError("STORE_REFUSED", `credentials(): expected ${expected}`);
    }
    this.#current = answer;
    return answer;
  }
}

function fixedCredentials(options: StoreOptions): Credentials {
  const given = { ...options, expiration: undefined };
  if (options.accessKeyId !== undefined || options.secretAccessKey !== undefined) {
    if (!areCredentials(given)) throw new TypeError("accessKeyId, secretAccessKey: expected both, as strings");
    return pick(given);
  }
  for (const family of ["S3", "AWS"]) {
    const found = {
      accessKeyId: fromEnvironment(`${family}_ACCESS_KEY_ID`),
      secretAccessKey: fromEnvironment(`${family}_SECRET_ACCESS_KEY`),
      sessionToken: fromEnvironment(`${family}_SESSION_TOKEN`),
    };
    if (areCredentials(found)) return found;
  }
  const names = "S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
  throw new StorageError("STORE_REFUSED", `no credentials for S3: set ${names}, or pass them to openStore`);
}

function pick({ accessKeyId, secretAccessKey, sessionToken }: Credentials): Credentials {
  return { accessKeyId, secretAccessKey, sessionToken };
}

function areCredentials(value: unknown): value is Credentials {
  if (typeof value !== "object" || value === null) return false;
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = value as Record<string, unknown>;
  const isText = (text: unknown): boolean => typeof text === "string" && /^[\x21-\x7e]+$/.test(text);
  const isDate = expiration === undefined || (expiration instanceof Date && !Number.isNaN(expiration.getTime()));
  return (
    isText(accessKeyId) && isText(secretAccessKey) && (sessionToken === undefined || isText(sessionToken)) && isDate
  );
}
