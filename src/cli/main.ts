#!/usr/bin/env bun
/** `cellar`, the command: finds the requested command, runs it, and prints an error in one line. */

// Import the file instead of reading it: a compiled program has no such file beside it.
import manifest from "../../package.json" with { type: "json" };
import { cat, chain } from "./blobs.ts";
import { cells } from "./cells.ts";
import { checkCommand } from "./check.ts";
import type { Command } from "./command.ts";
import { copy } from "./copy.ts";
import { create } from "./create.ts";
import { MISUSED, OK, reportOf, UsageError } from "./failure.ts";
import { follow } from "./follow.ts";
import { info } from "./info.ts";
import {
  jsonText,
  labelled,
  listenForErrors,
  print,
  printError,
  printJson,
  printToStderr,
  widthOf,
  wrap,
} from "./output.ts";
import { put } from "./put.ts";
import { recoverCommand } from "./recover.ts";
import { replica } from "./replica.ts";
import { replicate } from "./replicate.ts";
import { restore } from "./restore.ts";
import { tail } from "./tail.ts";

const commands: readonly Command[] = [
  info,
  checkCommand,
  cat,
  put,
  cells,
  chain,
  tail,
  copy,
  recoverCommand,
  create,
  replicate,
  restore,
  follow,
  replica,
];

/** Two columns before the longest name, and two after. */
const NAME_INDENT: number = Math.max(...commands.map(({ name }) => name.length)) + 4;

// Do not call process.exit(): it would cut off output that a slow reader has not read yet.
process.exitCode = await main(process.argv.slice(2));

/** Never rejects: an error is printed, and becomes an exit status. */
async function main(args: readonly string[]): Promise<number> {
  listenForErrors();
  try {
    return await run(args);
  } catch (error) {
    const what = reportOf(error);
    if (what === null) return OK;
    // If standard error is closed too, only the exit status reports the error.
    await printFailure(what, args.includes("--json")).catch(() => undefined);
    return what.status;
  }
}

/** Runs a command, and returns its exit status. */
async function run([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined) {
    await printToStderr(overview());
    return MISUSED;
  }
  if (name === "--version") {
    const { version } = manifest;
    await (args.includes("--json") ? printJson({ version }) : print(version));
    return OK;
  }
  if (name === "help" && args[0] !== undefined) return find(args[0]).run(["--help"]);
  if (name === "help" || name === "--help" || name === "-h") {
    await print(overview());
    return OK;
  }
  return find(name).run(args);
}

/** What `cellar --help` prints. */
function overview(): string {
  const rows = commands.flatMap(({ name, summary }) => labelled(`  ${name}`, summary, NAME_INDENT));
  const end = [
    "cellar COMMAND --help shows the options. Every command takes --json.",
    "Exit status: 0 done, 1 not done or damage found, 2 wrong command line.",
  ];
  return [
    "Usage: cellar COMMAND [OPTION…] PATH …",
    "",
    ...rows,
    "",
    ...end.flatMap((line) => wrap(line, widthOf())),
    "",
    "Example:",
    "  cellar create data.cellar && cellar put data.cellar picture.png --root",
  ].join("\n");
}

function find(name: string): Command {
  const found = commands.find((command) => command.name === name);
  if (found !== undefined) return found;
  const names = commands.map((command) => command.name).join(", ");
  throw new UsageError(`expected a command (${names}), got ${JSON.stringify(name)}: see cellar --help`);
}

async function printFailure({ code, message }: { code: string; message: string }, json: boolean): Promise<void> {
  if (json) await printToStderr(jsonText({ error: { code, message } }));
  else await printError(message);
}
