/** A writer that lives step by step at its supervisor's command; each answer is what it had to report. */

import { serve } from "../support/child.ts";
import type { Step, VictimEvent, VictimOrders } from "./events.ts";
import { Life } from "./life.ts";

let events: VictimEvent[] = [];
let life: Life | null = null;

await serve(async ({ orders, step }) => {
  events = [];
  if (orders !== undefined) life = new Life(orders as VictimOrders, (event) => events.push(event));
  else await life?.step(step as Step);
  return { events };
});
