/** Makes commands. The help and the parser of a command come from one description, so that they always agree. */

import { parseArgs } from "node:util";
import { OK, UsageError } from "./failure.ts";
import { labelled, print, widthOf, wrap } from "./output.ts";

/** An option. `value` is the name of its value in the help; without `value`, the option is a flag. */
interface Option {
  readonly value?: string;
  readonly help: string;
}
export type Options = Readonly<Record<string, Option>>;

/** The given options: text for an option that takes a value, true for one that does not. */
type Values<O extends Options> = {
  readonly [K in keyof O]?: O[K] extends { readonly value: string } ? string : boolean;
};

export interface Call<O extends Options> {
  readonly positionals: readonly string[];
  readonly values: Values<O>;
  readonly json: boolean;
}

export interface Description<O extends Options> {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** Positional arguments and their help. A name in brackets is optional; `…` allows several. */
  readonly positionals: readonly (readonly [name: string, help: string])[];
  readonly options: O;
  /** More information for the user. */
  readonly notes?: string;
  readonly examples: readonly string[];
  /** Returns the exit status. */
  readonly run: (call: Call<O>) => Promise<number>;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  readonly run: (args: readonly string[]) => Promise<number>;
}

/** Help has the same width everywhere, except on narrow terminals, so that it can be quoted. */
const HELP_WIDTH = 79;
const INDENT = 2;
const GAP = 2;

const common: Options = {
  json: { help: "print one line of JSON, with the fields of docs/cli.md" },
  help: { help: "print this help; also -h" },
};

/** Makes a command from its description. */
export function command<const O extends Options>(description: Description<O>): Command {
  const { name, summary } = description;
  const run = async (args: readonly string[]): Promise<number> => {
    try {
      const { values, positionals } = parse(args, { ...description.options, ...common });
      if (values["help"] === true) {
        await print(helpOf(description, Math.min(HELP_WIDTH, widthOf())));
        return OK;
      }
      checkCount(description.positionals, positionals);
      // The parser's values have the types that the options declare.
      return await description.run({ positionals, values: values as Values<O>, json: values["json"] === true });
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      throw new UsageError(`${error.message}: see cellar ${name} --help`);
    }
  };
  return { name, summary, run };
}

/** Parses with Node's parser in strict mode: an unknown option is an error. */
function parse(
  args: readonly string[],
  options: Options,
): { readonly values: Readonly<Record<string, unknown>>; readonly positionals: string[] } {
  const config = Object.fromEntries(
    Object.entries(options).map(([key, { value }]) => [
      key,
      {
        type: value === undefined ? ("boolean" as const) : ("string" as const),
        ...(key === "help" ? { short: "h" } : {}),
      },
    ]),
  );
  checkDashes(args, options);
  try {
    return parseArgs({ args: [...args], options: config, allowPositionals: true });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // Keep Node's first sentence, which says what is wrong. The others are about Node's own syntax.
    throw new UsageError(error.message.split(/\.\s/)[0] ?? error.message);
  }
}

/** Refuses a value that begins with a dash, as the parser does, but the message says how to write it. */
function checkDashes(args: readonly string[], options: Options): void {
  const end = args.indexOf("--");
  for (const [i, arg] of args.slice(0, end === -1 ? args.length : end).entries()) {
    const value = args[i + 1];
    const takesValue = arg.startsWith("--") && options[arg.slice(2)]?.value !== undefined;
    if (!takesValue || value === undefined || !/^-./.test(value)) continue;
    throw new UsageError(`${arg}: write a value that begins with a dash as ${arg}=${value}`);
  }
}

/** Checks the number of arguments. Refuses an empty one: in a script it comes from an unset variable. */
function checkCount(expected: Description<Options>["positionals"], given: readonly string[]): void {
  const least = expected.filter(([word]) => !word.startsWith("[")).length;
  const most = expected.some(([word]) => word.includes("…")) ? Infinity : expected.length;
  if (given.length >= least && given.length <= most && !given.includes("")) return;
  const words = expected.map(([word]) => word).join(" ");
  const got = given.length === 0 ? "nothing" : given.map((word) => JSON.stringify(word)).join(" ");
  throw new UsageError(`expected ${words}, got ${got}`);
}

/** Returns the whole help of a command. */
function helpOf<O extends Options>(description: Description<O>, width: number): string {
  const { name, summary, positionals, options, notes, examples } = description;
  const usage = ["Usage: cellar", name, "[OPTION…]", ...positionals.map(([word]) => word)].join(" ");
  const flags = Object.entries({ ...options, ...common }).map(([key, { value, help }]) => [
    `--${key}${value === undefined ? "" : ` ${value}`}`,
    help,
  ]);
  const words = positionals.map(([word, help]) => [word.replace(/[[\]…]/g, ""), help]);
  const indent = INDENT + Math.max(...[...words, ...flags].map(([word = ""]) => word.length)) + GAP;
  const table = (rows: readonly (readonly string[])[]): string[] =>
    rows.flatMap(([word = "", help = ""]) => labelled(`  ${word}`, help, indent, width));
  return [
    ...wrap(usage, width),
    "",
    ...wrap(`${summary}.`, width),
    "",
    ...table(words),
    "",
    ...table(flags),
    ...(notes === undefined ? [] : ["", ...wrap(notes, width)]),
    "",
    examples.length === 1 ? "Example:" : "Examples:",
    ...examples.map((example) => `  ${example}`),
  ].join("\n");
}
