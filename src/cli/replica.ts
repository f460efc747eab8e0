/** `cellar replica`: lists the states of a replica, checks it, and deletes objects that no state needs. */

import { printable } from "../error.ts";
import type { ObjectStore } from "../replicate/store/store.ts";
import { type Call, command, type Command } from "./command.ts";
import { CommandError, FAILED, OK, UsageError } from "./failure.ts";
import { countText } from "./figures.ts";
import { wholeNumber } from "./opening.ts";
import { paint, print, printJson, type Style } from "./output.ts";
import { openTarget, stateFields, stateLine, storeOptions, targetHelp, timeFrom } from "./replica-options.ts";
import { untilStopped } from "./stop.ts";

const options = {
  from: { value: "STATE", help: "states: the first one, by its number" },
  to: { value: "STATE", help: "states: the last one" },
  against: {
    value: "PATH",
    help: "verify: hold the file's cells against the recorded hashes; status: is it replicated?",
  },
  "max-age": {
    value: "SECONDS",
    help: "status: exit status 1 if the file has more, and the newest state is older (default 60)",
  },
  download: { help: "verify: read every object" },
  before: { value: "TIME", help: "prune: forget states that are older, never the last of an epoch" },
  epochs: { help: "prune: delete all epochs but the newest that has a state" },
  "dry-run": { help: "prune: only say what would be deleted" },
  ...storeOptions,
};

/** The options of each action; those of the store go with all. */
const actions: Readonly<Record<string, readonly string[]>> = {
  states: ["from", "to"],
  status: ["against", "max-age"],
  verify: ["against", "download"],
  prune: ["before", "epochs", "dry-run"],
};

const MAX_AGE_S = 60;

const styles: Readonly<Record<string, Style>> = { ok: "green", note: "yellow", damage: "red" };

type ReplicaCall = Call<typeof options>;

export const replica: Command = command({
  name: "replica",
  summary: "Lists, verifies or prunes the states of a replica",
  positionals: [
    [
      "ACTION",
      "states: a line for each that can be restored; status: the newest, for monitors; verify: findings, and exit status 1 if any is damage; prune: deletes what no remaining state needs",
    ],
    ["TARGET", targetHelp],
  ],
  options,
  notes:
    "Nothing but prune ever deletes, and nothing that a remaining state needs. A prune that was killed is made again.",
  examples: [
    "cellar replica states s3://bucket/data",
    "cellar replica verify s3://bucket/data --against data.cellar",
    "cellar replica prune s3://bucket/data --before 2026-01-01 --dry-run",
  ],
  run: async (call) => {
    const [action = "", target = ""] = call.positionals;
    checkOptions(action, call.values);
    const store = await openTarget(target, call.values);
    return untilStopped(async (signal) => {
      try {
        return (await runs[action]?.(store, call, signal)) ?? FAILED;
      } catch (error) {
        if (signal.aborted) throw new CommandError("CANCELLED", `${target}: cancelled`, error);
        throw error;
      }
    });
  },
});

function checkOptions(action: string, values: Readonly<Record<string, unknown>>): void {
  const own = actions[action];
  if (own === undefined) {
    const names = Object.keys(actions).join(", ");
    throw new UsageError(`expected ${names}, got ${printable(JSON.stringify(action))}`);
  }
  const given = Object.keys(values).filter((name) => values[name] !== undefined);
  const foreign = given.find((name) => !own.includes(name) && !(name in storeOptions) && name in options);
  if (foreign !== undefined) throw new UsageError(`--${foreign} does not go with ${action}`);
}

type Run = (store: ObjectStore, call: ReplicaCall, signal: AbortSignal) => Promise<number>;

const runs: Readonly<Record<string, Run>> = {
  states: async (store, { values, json }, signal) => {
    const { states } = await import("../replicate/index.ts");
    const number = (name: "from" | "to"): number | undefined => {
      const text = values[name];
      return text === undefined ? undefined : wholeNumber(`--${name}`, text, 1);
    };
    for await (const state of states(store, { from: number("from"), to: number("to"), signal })) {
      await (json ? printJson(stateFields(state)) : print(stateLine(state)));
    }
    return OK;
  },

  status: async (store, { values, json }, signal) => {
    const { status } = await import("../replicate/index.ts");
    const maxAgeMs = 1000 * (values["max-age"] === undefined ? MAX_AGE_S : wholeNumber("--max-age", values["max-age"]));
    const { state, ageMs, isCurrent } = await status(store, { against: values.against, signal });
    const isLate = isCurrent === false && (ageMs ?? Infinity) > maxAgeMs;
    if (json)
      await printJson({ state: state === null ? null : stateFields(state), ageMs, current: isCurrent, late: isLate });
    else {
      const newest = state === null ? "no state yet" : stateLine(state);
      const current = isCurrent === null ? "" : isCurrent ? "  all that is flushed" : "  the file has more";
      await print(`${newest}${current}`);
    }
    return isLate ? FAILED : OK;
  },

  verify: async (store, { values, json }, signal) => {
    const { verify } = await import("../replicate/index.ts");
    let isDamaged = false;
    for await (const finding of verify(store, {
      against: values.against,
      download: values.download === true,
      signal,
    })) {
      const { part, level, message } = finding;
      isDamaged ||= level === "damage";
      if (json) await printJson({ part, level, message });
      else await print(`${paint(styles[level] ?? "bold", level.padEnd(6))}  ${printable(`${part}: ${message}`)}`);
    }
    return isDamaged ? FAILED : OK;
  },

  prune: async (store, { values, json }, signal) => {
    const { prune } = await import("../replicate/index.ts");
    const before = values.before === undefined ? undefined : timeFrom("--before", values.before);
    const dryRun = values["dry-run"] === true;
    const result = await prune(store, { before, epochs: values.epochs === true, dryRun, signal });
    const { records, fullRecords, states, blocks } = result;
    if (json) await printJson({ dryRun, records, fullRecords, states, blocks });
    else {
      const deleted = [
        countText(records, "record"),
        `${countText(fullRecords, "full record")} with ${countText(states, "state")}`,
        countText(blocks, "block"),
      ];
      await print(`${dryRun ? "would delete" : "deleted"} ${deleted.join(", ")}`);
    }
    return OK;
  },
};
