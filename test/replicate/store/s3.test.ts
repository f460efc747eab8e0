/** The S3 store against a server in memory: its contract, and every fault of the network, the server and the setup. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { StorageError } from "../../../src/error.ts";
import { openStore } from "../../../src/replicate/index.ts";
import type { Credentials, ObjectStore, StoreOptions } from "../../../src/replicate/store/store.ts";
import { type Failing, S3Server } from "../s3-server.ts";
import { describeContract, recordKey } from "./contract.ts";

const TARGET = "s3://cellar/a b/ü+&%";
const bytes = new TextEncoder().encode("an object");
const KEY = recordKey(1);

/** A key and a certificate of nothing. */
const SELF_SIGNED = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/XN+EhQkmwkTQ5Lh
bjeuK8qjow/Lo0NrxRyT9BHczxOhRANCAASC5ErNVslUBzvH1zBcZfN1SPm5xAGZ
QNB9uPdr4lUWGntSv9wF/3pfu9XwTCNN9MpjpE/141aFJLMDITEJNhK3
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBfzCCASWgAwIBAgIUAzEvNz7O+eJQbOEWKKkoK92WB3UwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyODE1NDYxNFoYDzIxMjYxMTA0
MTU0NjE0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASC5ErNVslUBzvH1zBcZfN1SPm5xAGZQNB9uPdr4lUWGntSv9wF/3pf
u9XwTCNN9MpjpE/141aFJLMDITEJNhK3o1MwUTAdBgNVHQ4EFgQUOOxjz3f0FxA+
zoRL0P7a5t1dX2owHwYDVR0jBBgwFoAUOOxjz3f0FxA+zoRL0P7a5t1dX2owDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiBJG4GJ1jByld0KZ1neDahz
ll7JzpVhDeAQ7Oygyr6gLwIhAK4yDq207yn94ioLbVRSUGsLHqhbFbtNxctpiaXC
V4mi
-----END CERTIFICATE-----`,
};

let server: S3Server;
beforeAll(async () => void (server = await S3Server.start()));
afterAll(() => server[Symbol.asyncDispose]());
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  server = await S3Server.start();
});

const open = (options: Partial<StoreOptions> = {}): ObjectStore => openStore(TARGET, { ...server.options, ...options });

/** The error of a call. */
async function errorOf(call: Promise<unknown>): Promise<StorageError> {
  try {
    await call;
  } catch (error) {
    expect(error).toBeInstanceOf(StorageError);
    const text = Bun.inspect(error);
    for (const secret of [server.secretAccessKey, server.sessionToken ?? server.secretAccessKey])
      expect(text).not.toContain(secret);
    return error as StorageError;
  }
  throw new Error("the call has succeeded");
}

const calls: readonly (readonly [
  name: string,
  call: (store: ObjectStore, options?: { signal: AbortSignal }) => Promise<unknown>,
])[] = [
  ["get", (store, options) => store.get(KEY, options)],
  ["put", (store, options) => store.put(KEY, bytes, options)],
  ["create", (store, options) => store.put(KEY, bytes, { ifAbsent: true, ...options })],
  ["list", (store, options) => store.list("log/", options)],
  ["delete", (store, options) => store.delete(KEY, options)],
];
/** These may be sent again without a question. */
const idempotent = calls.filter(([name]) => name !== "create");
const create = (store: ObjectStore): Promise<unknown> => store.put(KEY, bytes, { ifAbsent: true });

describeContract("S3", { open, empty: () => {}, rounds: 20 });

describe("requests", () => {
  test("go to the prefix, and name it without credentials", async () => {
    const store = open();
    await store.put(KEY, bytes);
    expect([...server.objects.keys()]).toEqual([`a b/ü+&%/${KEY}`]);
    expect(store.url).toBe("s3://cellar/a b/ü+&%/");
    expect(Bun.inspect(store)).not.toContain(server.secretAccessKey);
    expect(await openStore(new URL("s3://cellar/a b/ü+&%25"), server.options).list("")).toEqual([KEY]);
  });

  test("list page by page, and pass over other objects", async () => {
    server.pageKeys = 3;
    const store = open();
    for (let sequence = 1; sequence <= 10; sequence++) await store.put(recordKey(sequence), bytes);
    for (const name of ["log/OTHER", "log/_", "zz.txt"]) server.objects.set(`a b/ü+&%/${name}`, bytes);
    server.objects.set("a b/other/log/1", bytes);
    const records = Array.from({ length: 10 }, (_, i) => recordKey(10 - i));
    expect(await store.list("")).toEqual(records);
    expect(await store.list("log/", { most: 5 })).toEqual(records.slice(0, 5));
    expect(await store.list("log/", { after: recordKey(5) })).toEqual(records.slice(6));
  });

  test("are refused when what is listed is out of order, or no listing", async () => {
    const sorted = ["log/b", "log/a"].map((key) => `<Contents><Key>a b/ü+&amp;%/${key}</Key></Contents>`);
    const pages = [
      `<ListBucketResult>${sorted.join("")}</ListBucketResult>`,
      "<html>welcome</html>",
      "<ListBucketResult>".repeat(9),
      "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    ];
    for (const page of pages) {
      using other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response(page) });
      const store = open({ endpoint: other.url.href });
      expect((await errorOf(store.list("log/"))).code).toBe("STORE_REFUSED");
    }
  });

  test("read no object that is longer than any of a replica", async () => {
    const length = 2 ** 40;
    using other = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () =>
        new Response(new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array(2 ** 20)) }), {
          headers: { "x-length": `${length}` },
        }),
    });
    const store = open({ endpoint: other.url.href });
    expect((await errorOf(store.get(KEY))).code).toBe("REPLICA_CORRUPT");
    expect(await store.get(KEY, { firstBytes: 4 })).toEqual(new Uint8Array(4));
  });
});

describe("a passing fault", () => {
  const passing: readonly Failing[] = [
    { status: 503, code: "SlowDown" },
    { status: 429 },
    { status: 500, code: "InternalError" },
    { status: 502 },
    { status: 400, code: "RequestTimeout" },
    "reset",
  ];
  for (const failing of passing) {
    const name = JSON.stringify(failing);
    test.each(idempotent)(`${name} is passed over by %s`, async (_name, call) => {
      server.fail(failing, 2);
      await call(open());
      expect(server.seen).toHaveLength(3);
    });

    test(`${name} that stays is told by all`, async () => {
      server.fail(failing);
      for (const error of await Promise.all(calls.map(([, call]) => errorOf(call(open()))))) {
        expect(error.code).toBe("STORE_UNREACHABLE");
        expect(error.message).toMatch(/s3:\/\/cellar\/.*: .*(again|network)/);
      }
    });
  }

  test("of a conditional PUT is told at once, but for those without effect", async () => {
    for (const failing of passing) {
      // Bun itself sends a request again that a connection in use was closed on: then it is answered.
      if (failing === "reset") continue;
      server.seen.length = 0;
      const isRefusal = typeof failing === "object" && failing.status === 429;
      server.fail(failing, 1);
      if (isRefusal) expect(await create(open())).toBe("created");
      else expect((await errorOf(create(open()))).code).toBe("STORE_UNREACHABLE");
      expect(server.seen).toHaveLength(isRefusal ? 2 : 1);
      server.objects.clear();
    }
    server.fail({ status: 409, code: "ConditionalRequestConflict" }, 2);
    expect(await create(open())).toBe("created");
  });

  test("after a PUT took effect leaves an unknown outcome, and the same again finds the object", async () => {
    server.fail("lost", 1);
    expect((await errorOf(create(open()))).code).toBe("STORE_UNREACHABLE");
    expect(await create(open())).toBe("exists");
    expect(await open().get(KEY)).toEqual(bytes as Uint8Array<ArrayBuffer>);
  });

  test("of a PUT that comes late changes nothing that is there", async () => {
    server.fail("late", 1);
    expect((await errorOf(create(open()))).code).toBe("STORE_UNREACHABLE");
    expect(await open().put(KEY, new Uint8Array(3), { ifAbsent: true })).toBe("created");
    server.deliver();
    expect(await open().get(KEY)).toEqual(new Uint8Array(3));
  });

  test("in an answer that is cut is seen, and one that is slow is waited for", async () => {
    await open().put(KEY, new Uint8Array(100_000).fill(7));
    server.fail("cut", 1);
    expect((await open().get(KEY))?.length).toBe(100_000);
    server.fail("slow", 1);
    expect((await open().get(KEY))?.length).toBe(100_000);
    server.heal();
    server.fail("cut");
    expect((await errorOf(open().get(KEY))).code).toBe("STORE_UNREACHABLE");
  });

  test.each(calls)("without any answer ends %s at the deadline, or by the signal at once", async (_name, call) => {
    server.fail("silent");
    const error = await errorOf(call(open({ timeoutMs: 100 })));
    expect([error.code, error.message]).toEqual(["STORE_UNREACHABLE", expect.stringContaining("within 100 ms")]);
    const controller = new AbortController();
    const reason = new Error("enough");
    const pending = call(open(), { signal: controller.signal });
    while (server.seen.length < 2) await Bun.sleep(1);
    controller.abort(reason);
    await expect(pending).rejects.toBe(reason);
  });

  test("is waited for no longer than the deadline and the signal allow", async () => {
    server.fail({ status: 503 });
    const error = await errorOf(open({ timeoutMs: 60 }).get(KEY));
    expect(error.message).toContain("within 60 ms");
    const reason = new Error("enough");
    const controller = new AbortController();
    server.seen.length = 0;
    const pending = open().get(KEY, { signal: controller.signal });
    while (server.seen.length === 0) await Bun.sleep(1);
    controller.abort(reason);
    await expect(pending).rejects.toBe(reason);
  });

  test("of a server that is not there is told with the target", async () => {
    using gone = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("") });
    const endpoint = gone.url.href;
    await gone.stop(true);
    const error = await errorOf(open({ endpoint }).get(KEY));
    expect([error.code, error.message]).toEqual(["STORE_UNREACHABLE", expect.stringContaining("s3://cellar/")]);
  });
});

describe("a fault of the setup", () => {
  /** Each call is refused by one request, and the message says what to check. */
  async function expectRefused(options: Partial<StoreOptions>, says: RegExp, target = TARGET): Promise<void> {
    for (const [, call] of calls) {
      server.seen.length = 0;
      const error = await errorOf(call(openStore(target, { ...server.options, ...options })));
      expect(error.message).toMatch(says);
      expect(error.code).toBe("STORE_REFUSED");
      expect(server.seen).toHaveLength(1);
    }
  }

  test("wrong credentials", async () => {
    await expectRefused({ secretAccessKey: "wrong" }, /403 SignatureDoesNotMatch.*check secretAccessKey/);
    await expectRefused({ accessKeyId: "wrong" }, /403 InvalidAccessKeyId.*check accessKeyId/);
    await expectRefused({ sessionToken: "wrong" }, /403 InvalidToken.*check sessionToken/);
  });

  test("no bucket", () => expectRefused({}, /404 NoSuchBucket.*create the bucket/, "s3://other/prefix"));

  test("a server that is no S3", async () => {
    for (const status of [404, 405, 302]) {
      server.fail({ status });
      await expectRefused({}, new RegExp(`${status}.*check the endpoint`));
      server.heal();
    }
  });

  test("no right to list, put, delete", async () => {
    server.mayList = false;
    const store = open();
    expect((await errorOf(store.get(KEY))).message).toMatch(/403 AccessDenied.*s3:ListBucket.*missing object/);
    expect((await errorOf(store.list("log/"))).message).toMatch(/403 AccessDenied.*s3:ListBucket/);
    server.fail({ status: 403, code: "AccessDenied" });
    expect((await errorOf(store.put(KEY, bytes))).message).toMatch(/s3:PutObject/);
    expect((await errorOf(store.delete(KEY))).message).toMatch(/s3:DeleteObject/);
  });

  test("403 for a PUT after an earlier success is no refusal", async () => {
    const store = open();
    expect(await store.put(KEY, bytes, { ifAbsent: true })).toBe("created");
    server.fail({ status: 403, code: "AccessDenied" }, 1);
    expect((await errorOf(store.put(recordKey(2), bytes, { ifAbsent: true }))).code).toBe("STORE_UNREACHABLE");
  });

  test("a clock that is minutes off is named, and one that is days off refused, even where signatures do not matter", async () => {
    server.clockMs = 20 * 60_000;
    await expectRefused({}, /RequestTimeTooSkewed.*check the clock.*20 minutes behind/);
    for (const [days, side] of [
      [-15 * 365, "ahead of"],
      [2, "behind"],
    ] as const) {
      using other = Bun.serve({
        port: 0,
        hostname: "127.0.0.1",
        fetch: () => new Response("", { headers: { date: new Date(Date.now() + days * 86_400_000).toUTCString() } }),
      });
      for (const [, call] of calls) {
        const error = await errorOf(call(open({ endpoint: other.url.href })));
        expect([error.code, error.message]).toEqual([
          "STORE_REFUSED",
          expect.stringMatching(new RegExp(`${side} the store's.*clock`)),
        ]);
      }
    }
  });

  test("another region is taken from the store, once", async () => {
    server.region = "eu-north-1";
    const store = open({ region: "us-east-1" });
    await store.put(KEY, bytes);
    expect(await store.list("log/")).toEqual([KEY]);
    expect(server.seen.map(({ method }) => method)).toEqual(["PUT", "PUT", "GET"]);
    server.region = "eu-north-2";
    expect((await errorOf(store.get(KEY))).message).toMatch(/AuthorizationHeaderMalformed.*check the region/);
  });

  test("no redirect is followed, and no region that is no name", async () => {
    let strange = 0;
    using other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => (strange++, new Response("")) });
    using redirecting = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () =>
        new Response("", {
          status: 307,
          headers: { location: other.url.href, "x-amz-bucket-region": "evil.example/" },
        }),
    });
    for (const [, call] of calls) {
      expect((await errorOf(call(open({ endpoint: redirecting.url.href })))).code).toBe("STORE_REFUSED");
    }
    expect(strange).toBe(0);
  });

  test("a store without conditional PUT is refused by name, one that ignores it answers twice", async () => {
    server.condition = "refused";
    const error = await errorOf(create(open()));
    expect([error.code, error.message]).toEqual(["FENCING_UNSUPPORTED", expect.stringContaining("501 NotImplemented")]);
    server.condition = "ignored";
    expect([await create(open()), await create(open())]).toEqual(["created", "created"]);
  });

  test("a certificate that is not trusted", async () => {
    using other = Bun.serve({ port: 0, hostname: "127.0.0.1", tls: SELF_SIGNED, fetch: () => new Response("") });
    for (const [, call] of calls) {
      const error = await errorOf(call(open({ endpoint: `https://127.0.0.1:${other.port}` })));
      expect([error.code, error.message]).toEqual(["STORE_REFUSED", expect.stringContaining("certificate")]);
    }
  });

  test("a code that is a name of something else is only a code", async () => {
    server.fail({ status: 400, code: "constructor", message: "&constructor;" });
    expect((await errorOf(open().get(KEY))).message).toMatch(/refused with 400 constructor \(&constructor;\): look /);
  });

  test("secrets that a server repeats are not shown", async () => {
    server.sessionToken = "a-token-that-is-secret";
    server.fail({
      status: 400,
      code: "Odd",
      message: `x-amz-security-token:${server.sessionToken} ${server.secretAccessKey}`,
    });
    expect((await errorOf(open().get(KEY))).message).toContain("Odd");
  });
});

describe("credentials()", () => {
  const source = (server: S3Server, lifeMs: number): { asked: number; credentials: () => Promise<Credentials> } => {
    const state = {
      asked: 0,
      credentials: async (): Promise<Credentials> => {
        const sessionToken = `token-${++state.asked}`;
        server.sessionToken = sessionToken;
        return { ...server.options, sessionToken, expiration: new Date(Date.now() + lifeMs) };
      },
    };
    return state;
  };
  const openWith = (credentials: StoreOptions["credentials"]): ObjectStore =>
    openStore(TARGET, { endpoint: server.endpoint, region: server.region, credentials });

  test("are asked once for many calls, and again before they expire", async () => {
    const long = source(server, 3_600_000);
    const store = openWith(long.credentials);
    await Promise.all(Array.from({ length: 8 }, () => store.get(KEY)));
    expect(long.asked).toBe(1);
    const short = source(server, 60_000);
    const other = openWith(short.credentials);
    await other.get(KEY);
    await other.get(KEY);
    expect(short.asked).toBe(2);
  });

  test("are asked again when the store says that the token has expired", async () => {
    const state = source(server, 3_600_000);
    const store = openWith(state.credentials);
    for (const [, call] of calls) {
      await call(store);
      server.expiredTokens.add(server.sessionToken ?? "");
      server.sessionToken = "none";
    }
    expect(state.asked).toBe(calls.length);
  });

  test("that fail are told, and those that there are used meanwhile", async () => {
    let fails = false;
    const state = source(server, 60_000);
    const store = openWith(() => (fails ? Promise.reject(new Error("no role")) : state.credentials()));
    await store.get(KEY);
    fails = true;
    await store.get(KEY);
    const error = await errorOf(openWith(() => Promise.reject(new Error("no role"))).get(KEY));
    expect([error.code, String(error.cause)]).toEqual(["STORE_UNREACHABLE", "Error: no role"]);
    expect((await errorOf(openWith(() => ({}) as Credentials).get(KEY))).code).toBe("STORE_REFUSED");
  });

  test("that never come end at the deadline", async () => {
    const never = (): Promise<Credentials> => new Promise(() => {});
    const store = openStore(TARGET, { endpoint: server.endpoint, credentials: never, timeoutMs: 50 });
    expect((await errorOf(store.get(KEY))).code).toBe("STORE_UNREACHABLE");
  });

  test("an expired token without them is named", async () => {
    server.sessionToken = "old";
    server.expiredTokens.add("old");
    expect((await errorOf(open().get(KEY))).message).toMatch(/ExpiredToken.*credentials\(\)/);
  });
});
