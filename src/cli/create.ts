/** `cellar create`: an empty storage. */

import { printable, StorageError } from "../error.ts";
import { configFrom, type CreateOptions } from "../options.ts";
import { StorageWriter } from "../writer.ts";
import { command, type Command } from "./command.ts";
import { OK, UsageError } from "./failure.ts";
import { numberOption, openingOptions } from "./opening.ts";
import { print, printJson } from "./output.ts";

/** Each option of the library is a flag with the same name. */
export const create: Command = command({
  name: "create",
  summary: "Creates an empty storage; an existing file is never changed",
  positionals: [["PATH", "the new file"]],
  options: {
    "head-string": { value: "TEXT", help: "names the application's format: at most 20 latin1 characters" },
    version: { value: "N", help: "the application's version; default: 1" },
    "bytes-per-cell": { value: "N", help: "4 to 65535; default: 32" },
    "max-index": { value: "N", help: "the most cells that it may have; default: 4294967295" },
    "capacity-cells": { value: "N", help: "cells to reserve on the disk now" },
    ...openingOptions,
  },
  examples: ["cellar create data.cellar --head-string MYAPP --bytes-per-cell 64"],
  run: async ({ positionals: [path = ""], values, json }) => {
    // The library checks the values.
    const options: CreateOptions = {
      headString: values["head-string"],
      version: numberOption(values, "version"),
      bytesPerCell: numberOption(values, "bytes-per-cell"),
      maxIndex: numberOption(values, "max-index"),
      capacityCells: numberOption(values, "capacity-cells", 1),
      allowUnsafeFilesystem: values["allow-unsafe-filesystem"],
    };
    checkConfigOptions(options);
    using writer = StorageWriter.create(path, options);
    const { config, startIndex, length } = writer;
    // Close before printing, so that the file is complete when the output names it.
    writer.close();
    if (json) await printJson({ path, config, startIndex, length });
    else await print(`${printable(path)}: created, ${config.bytesPerCell} bytes a cell, first index ${startIndex}`);
    return OK;
  },
});

/** Turns an invalid config into an error of the command line, with the names of the options. */
function checkConfigOptions(options: CreateOptions): void {
  try {
    configFrom(options);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    const what = error.message.replace(/^config: /, "");
    throw new UsageError(
      what.replace(
        /^[a-z]+[A-Z]\w*|^version/,
        (name) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
      ),
    );
  }
}
