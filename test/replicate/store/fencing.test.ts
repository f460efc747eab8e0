/** The probe of a store: what it proves, and which stores it refuses. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { openStore } from "../../../src/replicate/index.ts";
import { checkFencing } from "../../../src/replicate/store/fencing.ts";
import type { ObjectStore } from "../../../src/replicate/store/store.ts";
import { useFolder } from "../../support/folder.ts";
import { S3Server } from "../s3-server.ts";

const path = useFolder();
const bytes = new TextEncoder().encode("ours");
const others = new TextEncoder().encode("another's");

let server: S3Server;
const start = async (): Promise<void> => void (server = await S3Server.start());
beforeAll(start);
afterAll(() => server[Symbol.asyncDispose]());
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await start();
});

const kinds: readonly (readonly [name: string, open: () => ObjectStore])[] = [
  ["a folder", () => openStore(path())],
  ["S3", () => openStore("s3://cellar/data", server.options)],
];

describe.each(kinds)("%s", (_name, open) => {
  test("fences: the object is ours, then and later, or another's that was there", async () => {
    const store = open();
    for (const given of [bytes, bytes, others]) expect(await checkFencing(store, "replica", given)).toEqual(bytes);
    expect(await store.list("")).toEqual(["replica"]);
  });

  test("fences two that come at once: both have the same object", async () => {
    const store = open();
    const [one, two] = await Promise.all([
      checkFencing(store, "replica", bytes),
      checkFencing(store, "replica", others),
    ]);
    expect(one).toEqual(two);
  });
});

/** A store that answers conditional PUTs in its own way. */
function storeWithPut(put: (store: ObjectStore, nth: number) => ReturnType<ObjectStore["put"]>): ObjectStore {
  const store = openStore(path());
  let nth = 0;
  return {
    url: store.url,
    get: (...args) => store.get(...args),
    put: () => put(store, nth++),
    list: (...args) => store.list(...args),
    delete: (...args) => store.delete(...args),
  };
}

describe("refused is a store", () => {
  const refused = { code: "FENCING_UNSUPPORTED" };

  test("that has no conditional PUT, or ignores the condition, at the first start and later", async () => {
    for (const condition of ["refused", "ignored"] as const) {
      server.condition = condition;
      const store = openStore("s3://cellar/data", server.options);
      const says = condition === "refused" ? "501 NotImplemented" : "8 of 8";
      await expect(checkFencing(store, "replica", bytes)).rejects.toMatchObject({
        ...refused,
        message: expect.stringContaining(says),
      });
      server.objects.set("data/replica", others);
      await expect(checkFencing(store, "replica", bytes)).rejects.toMatchObject(refused);
      expect(server.objects.get("data/replica")).toEqual(others);
      server.objects.clear();
    }
  });

  test("that answers two of eight, or a later one, or has nothing then, or another's bytes", async () => {
    const twice = storeWithPut(
      async (store, nth) => (await store.put("replica", bytes), nth < 2 ? "created" : "exists"),
    );
    const later = storeWithPut(
      async (store, nth) => (await store.put("replica", bytes), nth === 8 ? "created" : "exists"),
    );
    const none = storeWithPut(async () => "exists");
    const mixed = storeWithPut(
      async (store, nth) => (await store.put("replica", others), nth === 0 ? "created" : "exists"),
    );
    const says = ["2 of 8", "created replica again", "does not exist", "two writers"];
    for (const [i, store] of [twice, later, none, mixed].entries())
      await expect(checkFencing(store, "replica", bytes)).rejects.toMatchObject({
        ...refused,
        message: expect.stringContaining(says[i] ?? ""),
      });
  });
});

test("a passing fault proves nothing, and the next try does", async () => {
  const store = openStore("s3://cellar/data", server.options);
  server.fail({ status: 503 }, 1, ({ isConditional }) => isConditional);
  await expect(checkFencing(store, "replica", bytes)).rejects.toMatchObject({ code: "STORE_UNREACHABLE" });
  expect(await checkFencing(store, "replica", bytes)).toEqual(bytes);
});
