/** Replication by real servers: kills and a store that stops on Ceph's gateway, two primaries, and the refusal of Swift. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { StorageReader } from "../../../src/index.ts";
import { openStore, prune, replicate, restore } from "../../../src/replicate/index.ts";
import type { ObjectStore } from "../../../src/replicate/store/store.ts";
import { requires } from "../../crash/survive/requires.ts";
import { useFolder } from "../../support/folder.ts";
import { seedFromEnvironment } from "../../support/random.ts";
import { Flushed, smallReplica } from "../life.ts";
import { type Place, replicationKills } from "../kills.ts";
import { codeOf, Primary } from "../primary.ts";
import { startCeph } from "./ceph.ts";
import { startSwift } from "./swift.ts";
import type { Service } from "./service.ts";

const path = useFolder({ inMemory: true });
setDefaultTimeout(300_000);
const ceph = requires("linux", "prlimit", "ceph-mon", "ceph-osd", "ceph-common", "radosgw");
const swift = requires("linux", "prlimit", "swift-proxy", "swift-account", "swift-container", "swift-object");
/** As many in CI as the promise says; some, where a developer waits for them. */
const KILLS = process.env["CELLAR_NO_SKIP"] === undefined ? 10 : 50;
const OUTAGES = process.env["CELLAR_NO_SKIP"] === undefined ? 1 : 5;

describe.skipIf(!ceph.met && !ceph.fails)(`Ceph's gateway${ceph.note}`, () => {
  let service: Service | undefined;
  let prefix = 0;
  beforeAll(async () => {
    if (!ceph.met) throw new Error(ceph.note);
    service = await startCeph();
  });
  afterAll(() => service?.[Symbol.dispose]());

  const target = (): string => `s3://${service?.bucket}/replication/${++prefix}`;
  const open = (): ObjectStore => openStore(target(), service?.access);

  /** Behind a proxy, which is stopped and started on the same port. */
  function place(): Place & Disposable {
    const upstream = service?.access.endpoint ?? "";
    const serve = (port: number): Bun.Server<undefined> =>
      Bun.serve({
        port,
        hostname: "127.0.0.1",
        idleTimeout: 0,
        async fetch({ url, method, headers, body }) {
          const { pathname, search } = new URL(url);
          return fetch(`${upstream}${pathname}${search}`, {
            method,
            headers,
            body,
            redirect: "manual",
            decompress: false,
          });
        },
      });
    let server: Bun.Server<undefined> | null = serve(0);
    const port = server.port ?? 0;
    return {
      target: target(),
      options: { ...service?.access, endpoint: `http://127.0.0.1:${port}`, timeoutMs: 10_000 },
      stop: async () => {
        await server?.stop(true);
        server = null;
      },
      start: () => {
        server = serve(port);
      },
      [Symbol.dispose]: () => void server?.stop(true),
    };
  }

  test(`${KILLS} kills, and a store that is stopped ${OUTAGES} times: every state restores, a follower has the last`, async () => {
    const seed = seedFromEnvironment();
    using behind = place();
    const { values, violations } = await replicationKills({ kills: KILLS, outages: OUTAGES, seed, place: behind });
    expect({ seed, violations }).toEqual({ seed, violations: [] });
    expect(values).toMatchObject({ outages: OUTAGES });
  });

  test("two primaries: one is FENCED, also one that slept while prune ran; the states of the other restore", async () => {
    const store = open();
    await smallReplica(store);
    const file = path();
    const flushed = new Flushed(file);
    await using sleeper = new Primary(file, flushed);
    sleeper.start(store);
    await sleeper.replicate(200_000, 1);
    await using second = await sleeper.copy(path());
    second.start(store);
    for (let i = 0; i < 3; i++) await second.replicate(100_000, i);
    second.writer.truncate();
    await second.replicate(1000, 3);
    expect((await prune(store)).records).toBeGreaterThan(0);
    sleeper.append(10, 1);
    expect(await codeOf(sleeper.replicator?.replicated() ?? Promise.resolve())).toBe("FENCED");
    await second.stop();
    expect(await flushed.check(store, path())).toHaveLength(5);
  });

  test("blocks of 16 MiB go there and back", async () => {
    const store = open();
    const file = path();
    await using primary = new Primary(file, new Flushed(file));
    primary.append(40 * 1024 * 1024, 7);
    await primary.start(store).replicated({ compared: true });
    expect(primary.replicator?.stats()).toMatchObject({ blocksSent: 2, isCompared: true });
    const copy = path();
    await restore(store, copy);
    using reader = StorageReader.open(copy);
    expect(reader.read(reader.root ?? 0).every((byte) => byte === 7)).toBeTrue();
  });
});

describe.skipIf(!swift.met && !swift.fails)(`OpenStack Swift${swift.note}`, () => {
  test("is refused: FENCING_UNSUPPORTED, and nothing is there", async () => {
    if (!swift.met) throw new Error(swift.note);
    using service = await startSwift();
    const store = openStore(`s3://${service.bucket}/replication`, service.access);
    const file = path();
    await using primary = new Primary(file, new Flushed(file));
    primary.append(1000, 1);
    expect(await codeOf(replicate(file, store).ended)).toBe("FENCING_UNSUPPORTED");
    expect(await store.list("")).toEqual([]);
  });
});
