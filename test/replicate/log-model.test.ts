/**
 * The model of the log, as far as a few seconds go: `bun --smol test/replicate/model/run.ts` goes on to 60,000
 * states each, in a minute.
 */

import { expect, setDefaultTimeout, test } from "bun:test";
import { broken, sound } from "./model/configurations.ts";
import { explore } from "./model/log-model.ts";

setDefaultTimeout(60_000);
const MOST_STATES = 3000;
/** The farthest of them needs some 14,000. */
const MOST_STATES_TO_VIOLATION = 30_000;

test.each(sound.map((one) => [one.name, one] as const))(
  "%s: nothing is lost, and one session goes on",
  (_, configuration) => {
    const { verdict, violation, path, states } = explore({ ...configuration, cap: MOST_STATES });
    expect({ verdict, violation, path }).toEqual({
      verdict: expect.not.stringContaining("violated"),
      violation: null,
      path: [],
    });
    expect(states).toBeGreaterThan(1000);
  },
);

test.each(broken.map((one) => [one.name, one] as const))("%s: is found to be broken", (_, configuration) => {
  const { verdict, path } = explore({ ...configuration, cap: MOST_STATES_TO_VIOLATION });
  expect(verdict).toBe("violated");
  expect(path.length).toBeGreaterThan(3);
});
