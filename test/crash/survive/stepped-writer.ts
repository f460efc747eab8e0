/** A writer that lives step by step at its supervisor's command; each answer is what it had to report. */

import { serve } from "../../support/child.ts";
import type { Step, VictimEvent, VictimOrders } from "./events.ts";
import { Life } from "./life.ts";

const events: VictimEvent[] = [];
let life: Life | null = null;

await serve(async ({ orders, step }) => {
  if (orders !== undefined) life = new Life(orders as VictimOrders, (event) => events.push(event));
  else await life?.step(step as Step);
  // With what was reported between two steps: a flush may be refused while nobody asks.
  return { events: events.splice(0) };
});
