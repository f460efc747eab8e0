/** A process that lives the life of a writer, as it was told or at random until it is killed: `bun victim.ts ORDERS`. */

import { readSync } from "node:fs";
import type { Step, VictimOrders } from "./events.ts";
import { Life } from "./life.ts";
import { say } from "./lines.ts";
import { Random } from "../../support/random.ts";

/** Steps of a life without orders, by weight. */
const weights: readonly (readonly [Step, number])[] = [
  ["writeSmall", 30],
  ["writeLarge", 4],
  ["allocate", 3],
  ["setRoot", 12],
  ["clearRoot", 1],
  ["commit", 14],
  ["flushSync", 3],
  ["flush", 5],
  ["settle", 2],
  ["readBack", 4],
  ["truncate", 0.3],
];
const allWeights = weights.reduce((sum, [, weight]) => sum + weight, 0);
const STDIN = 0;

const orders = JSON.parse(process.argv[2] ?? "{}") as VictimOrders;
const life = new Life(orders, say);
if (orders.waits === true) {
  say({ event: "waiting" });
  readSync(STDIN, new Uint8Array(1));
}
await life.step("open");
if (orders.steps === undefined) await liveAtRandom(new Random(orders.seed));
else for (const step of [...orders.steps, "close" as const]) await life.step(step);
// The parent may keep the other end of standard input open.
process.exit();

async function liveAtRandom(random: Random): Promise<void> {
  while (life.byteLength !== null) {
    await life.step(life.byteLength > orders.maxStorageBytes ? "truncate" : anyStep(random));
    // What was asked for asynchronously goes on.
    await new Promise(setImmediate);
  }
}

function anyStep(random: Random): Step {
  let at = random.next() * allWeights;
  return weights.find(([, weight]) => (at -= weight) < 0)?.[0] ?? "commit";
}
