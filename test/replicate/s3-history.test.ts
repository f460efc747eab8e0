/** Random histories on an S3 server whose requests fail in every way: each replicated state restores, none is lost. */

import { expect, test } from "bun:test";
import { openStore } from "../../src/replicate/index.ts";
import { prune } from "../../src/replicate/prune.ts";
import { useFolder } from "../support/folder.ts";
import { Random, seedFromEnvironment } from "../support/random.ts";
import { Flushed, smallReplica } from "./life.ts";
import { Primary } from "./primary.ts";
import { type Failing, S3Server } from "./s3-server.ts";

const path = useFolder({ inMemory: true });
const FAULTS: readonly Failing[] = [
  "reset",
  "lost",
  "late",
  "slow",
  "cut",
  { status: 503, code: "SlowDown" },
  { status: 500, code: "InternalError" },
];
/** Two conditional requests for one object at once: S3 answers so to conditional ones only. */
const CONFLICT: Failing = { status: 409, code: "ConditionalRequestConflict" };

test.each([1, 2])("answers that are lost, late, cut, slow, refused for a while (%d)", async (round) => {
  const seed = (seedFromEnvironment() + round) >>> 0;
  const random = new Random(seed);
  await using server = await S3Server.start();
  const store = openStore(`s3://${server.bucket}/data`, { ...server.options, timeoutMs: 5000 });
  await smallReplica(store);
  const file = path();
  const flushed = new Flushed(file);
  await using primary = new Primary(file, flushed);
  try {
    primary.start(store);
    await primary.replicate(100, 1);
    for (let step = 0; step < 25; step++) {
      if (random.chance(0.5)) server.fail(random.pick(FAULTS), random.between(1, 3));
      if (random.chance(0.1)) server.fail(CONFLICT, 1, ({ isConditional }) => isConditional);
      if (random.chance(0.1)) primary.writer.truncate();
      await primary.replicate(random.pick([10, 1000, 80_000, 200_000]), step);
      // What a proxy or a slow network held back comes now.
      if (random.chance(0.3)) server.deliver();
      if (random.chance(0.2)) {
        server.heal();
        await primary.stop();
        if (random.chance(0.5)) await prune(store);
        primary.start(store);
      }
    }
    server.heal();
    server.deliver();
    await primary.replicate(10, 99);
    await primary.stop();
    const found = (await flushed.check(store, path())).map(({ sequence }) => sequence);
    expect(found).toEqual(expect.arrayContaining([...flushed.replicated.keys()]));
  } catch (error) {
    throw new Error(`SEED=${(seed - round) >>> 0}, round ${round}`, { cause: error });
  }
});
