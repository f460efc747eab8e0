/** The S3 store against OpenStack Swift: a real server, which cannot fence, and is refused. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { openStore } from "../../../src/replicate/index.ts";
import { checkFencing } from "../../../src/replicate/store/fencing.ts";
import type { ObjectStore, StoreOptions } from "../../../src/replicate/store/store.ts";
import { requires } from "../../crash/survive/requires.ts";
import { startSwift } from "./swift.ts";
import type { Service } from "./service.ts";

setDefaultTimeout(180_000);
const { met, fails, note } = requires(
  "linux",
  "prlimit",
  "swift-proxy",
  "swift-account",
  "swift-container",
  "swift-object",
);
const bytes = new TextEncoder().encode("an object");

describe.skipIf(!met && !fails)(`OpenStack Swift${note}`, () => {
  let service: Service | undefined;
  beforeAll(async () => {
    if (!met) throw new Error(note);
    service = await startSwift();
  });
  afterAll(() => service?.[Symbol.dispose]());

  const open = (options: Partial<StoreOptions> = {}): ObjectStore =>
    openStore(`s3://${service?.bucket}/data`, { ...service?.access, ...options });
  const refused = { code: "FENCING_UNSUPPORTED", message: expect.stringContaining("501 NotImplemented") };

  test("is refused, and keeps nothing", async () => {
    await expect(open().put("replica", bytes, { ifAbsent: true })).rejects.toMatchObject(refused);
    await expect(checkFencing(open(), "replica", bytes)).rejects.toMatchObject(refused);
    expect(await open().list("")).toEqual([]);
  });

  test("is refused also where an object is", async () => {
    const store = open();
    await store.put("replica", bytes);
    await expect(checkFencing(store, "replica", bytes)).rejects.toMatchObject(refused);
    expect(await store.get("replica")).toEqual(bytes as Uint8Array<ArrayBuffer>);
    expect(await store.get("replica", { firstBytes: 2 })).toEqual(bytes.slice(0, 2) as Uint8Array<ArrayBuffer>);
    expect(await store.list("")).toEqual(["replica"]);
    await store.delete("replica");
    expect(await store.get("replica")).toBeNull();
  });

  test("names another region", async () => {
    const call = open({ region: "auto" }).get("replica");
    await expect(call.then((answer) => answer ?? "none")).resolves.toBe("none");
  });
});
