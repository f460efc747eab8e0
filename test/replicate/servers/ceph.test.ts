/** The S3 store against Ceph's object gateway: a real server, which fences. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { openStore } from "../../../src/replicate/index.ts";
import { checkFencing } from "../../../src/replicate/store/fencing.ts";
import type { ObjectStore, StoreOptions } from "../../../src/replicate/store/store.ts";
import { requires } from "../../crash/survive/requires.ts";
import { describeContract, recordKey } from "../store/contract.ts";
import { startCeph } from "./ceph.ts";
import type { Service } from "./service.ts";

setDefaultTimeout(180_000);
const { met, fails, note } = requires("linux", "prlimit", "ceph-mon", "ceph-osd", "ceph-common", "radosgw");
const bytes = new TextEncoder().encode("an object");

describe.skipIf(!met && !fails)(`Ceph's gateway${note}`, () => {
  let service: Service | undefined;
  let prefix = 0;
  beforeAll(async () => {
    if (!met) throw new Error(note);
    service = await startCeph();
  });
  afterAll(() => service?.[Symbol.dispose]());

  const open = (options: Partial<StoreOptions> = {}): ObjectStore =>
    openStore(`s3://${service?.bucket}/a b/ü+&%/${prefix}`, { ...service?.access, ...options });
  const empty = (): void => void prefix++;

  describeContract("Ceph's gateway", { open, empty, rounds: 20 });

  test("fences", async () => {
    empty();
    const [one, two] = await Promise.all([
      checkFencing(open(), "replica", bytes),
      checkFencing(open(), "replica", new Uint8Array(3)),
    ]);
    expect(one).toEqual(two);
    expect(await checkFencing(open(), "replica", bytes)).toEqual(one);
  });

  test("lists more than a page", async () => {
    empty();
    const store = open();
    const records = Array.from({ length: 1050 }, (_, i) => recordKey(1050 - i));
    for (let i = 0; i < records.length; i += 50)
      await Promise.all(records.slice(i, i + 50).map((key) => store.put(key, bytes)));
    expect(await store.list("log/")).toEqual(records);
    expect(await store.list("log/", { after: records[9], most: 1020 })).toEqual(records.slice(10, 1030));
  });

  test("refuses wrong credentials and buckets, and is told from one that is not there", async () => {
    const refused = async (store: ObjectStore, says: string): Promise<void> => {
      const error = { code: "STORE_REFUSED", message: expect.stringContaining(says) };
      await expect(store.get("replica")).rejects.toMatchObject(error);
      await expect(store.put("replica", bytes, { ifAbsent: true })).rejects.toMatchObject(error);
      await expect(store.list("")).rejects.toMatchObject(error);
    };
    await refused(open({ secretAccessKey: "wrong" }), "403 SignatureDoesNotMatch");
    await refused(open({ accessKeyId: "wrong" }), "403 InvalidAccessKeyId");
    await refused(openStore("s3://other/x", service?.access), "404 NoSuchBucket");
  });

  test("sees when a proxy drops the condition, or changes the body", async () => {
    empty();
    const upstream = service?.access.endpoint ?? "";
    const proxy = (change: (headers: Headers, body: Uint8Array) => void): Bun.Server<undefined> =>
      Bun.serve({
        port: 0,
        hostname: "127.0.0.1",
        async fetch(request) {
          const { pathname, search } = new URL(request.url);
          const headers = new Headers(request.headers);
          const body = new Uint8Array(await request.arrayBuffer());
          change(headers, body);
          return fetch(`${upstream}${pathname}${search}`, {
            method: request.method,
            headers,
            body,
            redirect: "manual",
          });
        },
      });
    const through = (server: Bun.Server<undefined>): ObjectStore => open({ endpoint: server.url.href });
    using faithful = proxy(() => {});
    expect(await through(faithful).put("replica", bytes, { ifAbsent: true })).toBe("created");
    using dropping = proxy((headers) => headers.delete("if-none-match"));
    const put = through(dropping).put("replica", new Uint8Array(3), { ifAbsent: true });
    await expect(put).rejects.toMatchObject({ code: "STORE_REFUSED" });
    using changing = proxy((_headers, body) => void (body[0] = 0));
    const changed = through(changing).put("other", bytes, { ifAbsent: true });
    await expect(changed).rejects.toMatchObject({
      code: "STORE_UNREACHABLE",
      message: expect.stringContaining("SHA256"),
    });
    expect(await open().list("")).toEqual(["replica"]);
    expect(await open().get("replica")).toEqual(bytes as Uint8Array<ArrayBuffer>);
  });

  test("that is silent ends a call at its deadline, and answers again afterwards", async () => {
    empty();
    const store = open({ timeoutMs: 300 });
    service?.signal("radosgw", "SIGSTOP");
    try {
      await expect(store.get("replica")).rejects.toMatchObject({ code: "STORE_UNREACHABLE" });
    } finally {
      service?.signal("radosgw", "SIGCONT");
    }
    expect(await open().get("replica")).toBeNull();
  });
});
