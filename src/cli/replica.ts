/** `cellar replica`: lists the states of a replica, checks it, and deletes objects that no state needs. */

import { printable } from "../error.ts";
import type { ObjectStore } from "../replicate/store/store.ts";
import { levelText } from "./check.ts";
import { type Call, command, type Command } from "./command.ts";
import { FAILED, OK, UsageError } from "./failure.ts";
import { countText } from "./figures.ts";
import { numberOption } from "./opening.ts";
import { print, printJson } from "./output.ts";
import { openTarget, stateFields, stateLine, storeOptions, targetHelp, timeFrom } from "./replica-options.ts";
import { untilStopped } from "./stop.ts";

const options = {
  from: { value: "STATE", help: "states: the number of the first state" },
  to: { value: "STATE", help: "states: the number of the last state" },
  against: {
    value: "PATH",
    help: "verify: compare this file's cells with the recorded hashes; status: tell whether this file is replicated",
  },
  "max-age": {
    value: "SECONDS",
    help: "status: exit status 1 if the file has a newer state, and that of the replica is older than this; default: 60",
  },
  download: { help: "verify: read every object" },
  before: { value: "TIME", help: "prune: delete older states, but never the last of an epoch" },
  epochs: { help: "prune: delete every epoch except the newest with a state" },
  "dry-run": { help: "prune: only report what would be deleted" },
  ...storeOptions,
};

interface ActionCall extends Call<typeof options> {
  readonly store: ObjectStore;
  readonly signal: AbortSignal;
}

interface Action {
  /** Its options, besides those of the store. */
  readonly options: readonly string[];
  /** Returns the exit status. */
  readonly run: (call: ActionCall) => Promise<number>;
}

const actions: ReadonlyMap<string, Action> = new Map([
  ["states", { options: ["from", "to"], run: listStates }],
  ["status", { options: ["against", "max-age"], run: reportStatus }],
  ["verify", { options: ["against", "download"], run: verifyReplica }],
  ["prune", { options: ["before", "epochs", "dry-run"], run: pruneReplica }],
]);

const MAX_AGE_S = 60;

export const replica: Command = command({
  name: "replica",
  summary: "Lists, verifies or prunes the states of a replica",
  positionals: [
    [
      "ACTION",
      "states: lists the states that can be restored; status: shows the newest state, for monitors; verify: prints findings, with exit status 1 for damage; prune: deletes objects that no remaining state needs",
    ],
    ["TARGET", targetHelp],
  ],
  options,
  notes:
    "Only prune deletes objects, and never an object that a remaining state needs. If prune was killed, run it again.",
  examples: [
    "cellar replica states s3://bucket/data",
    "cellar replica verify s3://bucket/data --against data.cellar",
    "cellar replica prune s3://bucket/data --before 2026-01-01 --dry-run",
  ],
  run: async (call) => {
    const [action = "", target = ""] = call.positionals;
    const run = runOf(action, call.values);
    const store = await openTarget(target, call.values);
    return untilStopped((signal) => run({ ...call, store, signal }), `${target}: cancelled`);
  },
});

/** Returns the action with this name, after checking that the given options belong to it. */
function runOf(action: string, values: Readonly<Record<string, unknown>>): Action["run"] {
  const found = actions.get(action);
  if (found === undefined) {
    const names = [...actions.keys()].join(", ");
    throw new UsageError(`expected ${names}, got ${printable(JSON.stringify(action))}`);
  }
  const given = Object.keys(values).filter((name) => values[name] !== undefined);
  const foreign = given.find((name) => !found.options.includes(name) && !(name in storeOptions) && name in options);
  if (foreign !== undefined) throw new UsageError(`--${foreign} is not an option of ${action}`);
  return found.run;
}

async function listStates({ store, values, json, signal }: ActionCall): Promise<number> {
  const { states } = await import("../replicate/index.ts");
  const range = { from: numberOption(values, "from", 1), to: numberOption(values, "to", 1) };
  for await (const state of states(store, { ...range, signal })) {
    await (json ? printJson(stateFields(state)) : print(stateLine(state)));
  }
  return OK;
}

async function reportStatus({ store, values, json, signal }: ActionCall): Promise<number> {
  const { status } = await import("../replicate/index.ts");
  const maxAgeMs = 1000 * (numberOption(values, "max-age") ?? MAX_AGE_S);
  const { state, ageMs, isCurrent } = await status(store, { against: values.against, signal });
  const isLate = isCurrent === false && (ageMs ?? Infinity) > maxAgeMs;
  const fields = state === null ? null : stateFields(state);
  if (json) await printJson({ state: fields, ageMs, current: isCurrent, late: isLate });
  else {
    const newest = state === null ? "no state yet" : stateLine(state);
    const current = isCurrent === null ? "" : isCurrent ? "  up to date" : "  the file has a newer state";
    await print(`${newest}${current}`);
  }
  return isLate ? FAILED : OK;
}

async function verifyReplica({ store, values, json, signal }: ActionCall): Promise<number> {
  const { verify } = await import("../replicate/index.ts");
  let isDamaged = false;
  const { against, download } = values;
  for await (const { part, level, message } of verify(store, { against, download, signal })) {
    isDamaged ||= level === "damage";
    if (json) await printJson({ part, level, message });
    else await print(`${levelText(level)}  ${printable(`${part}: ${message}`)}`);
  }
  return isDamaged ? FAILED : OK;
}

async function pruneReplica({ store, values, json, signal }: ActionCall): Promise<number> {
  const { prune } = await import("../replicate/index.ts");
  const before = values.before === undefined ? undefined : timeFrom("--before", values.before);
  const dryRun = values["dry-run"] === true;
  const result = await prune(store, { before, epochs: values.epochs, dryRun, signal });
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
}
