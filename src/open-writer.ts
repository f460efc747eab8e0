/** Opens a store for writing by the user's options: over a new file, an existing file, or memory. */

import { dirname } from "node:path";
import { StorageError } from "./error.ts";
import { type CheckedConfig, checkExpected } from "./format/config.ts";
import { startIndexOf } from "./format/layout.ts";
import {
  capacityFrom,
  checkOptions,
  choicesFrom,
  configFrom,
  type CreateOptions,
  expectedFrom,
  type OpenWriterOptions,
  timeoutFrom,
} from "./options.ts";
import { creationPath, pathFrom } from "./os/file.ts";
import { checkFilesystem } from "./os/filesystem.ts";
import { releaseAfter } from "./os/release.ts";
import { MemoryRegion } from "./region/memory.ts";
import type { Measured, WritableRegion } from "./region/region.ts";
import { createWriterFile, openWriterFile } from "./store/files.ts";
import { createStore, type OpenStore, openStore } from "./store/open.ts";
import { initialCells } from "./cells/space.ts";

/** An open store, and its region, which the owner closes. */
export interface OpenedWriter {
  readonly region: WritableRegion & Measured;
  readonly config: CheckedConfig;
  readonly store: OpenStore;
  readonly writerKey: Uint8Array;
}

/** How often `openOrCreate` starts over when another process creates or removes the file in between. */
const MAX_ATTEMPTS = 16;

/** The advice if `expect` contradicts the other options. */
const CONTRADICTION = "leave out one of them";

/** @param place where the file is created, if `target` is a symbolic link */
export function createWriter(target: string | URL, options: CreateOptions, place?: string): OpenedWriter {
  const path = pathFrom(target);
  place ??= path;
  const config = configFrom(options, path);
  const choices = choicesFrom(options);
  if (!options.allowUnsafeFilesystem) checkFilesystem(dirname(place), path);
  return createWriterFile(path, place, config, cellsAtFirst(config, options, choices.stepBytes), (region) => {
    const store = createStore(region, config, choices);
    region.announce();
    return { region, config, store, writerKey: choices.writerKey };
  });
}

export function openExisting(target: string | URL, options: OpenWriterOptions): OpenedWriter {
  const choices = choicesFrom(options);
  const expect = expectedFrom(options.expect);
  const path = pathFrom(target);
  if (!options.allowUnsafeFilesystem) checkFilesystem(path, path);
  const { region, config } = openWriterFile(path, expect, timeoutFrom(options.lockTimeoutMs));
  try {
    const store = openStore(region, config, choices);
    region.announce();
    return { region, config, store, writerKey: choices.writerKey };
  } catch (error) {
    releaseAfter(error, () => region.close());
  }
}

/** Opens the existing file, after comparing its config with the given options, or creates a new one. */
export function openOrCreate(target: string | URL, options: CreateOptions & OpenWriterOptions): OpenedWriter {
  checkOptions(options);
  const path = pathFrom(target);
  const [given, expected] = [expectedFrom(options), expectedFrom(options.expect)];
  // Check first, so that contradicting options are refused even if the file does not exist.
  checkExpected(path, given, expected, "the options say", CONTRADICTION);
  const expect = { ...given, ...expected };
  for (let attempt = 1; ; attempt++) {
    try {
      return openExisting(path, { ...options, expect });
    } catch (error) {
      if (!hasCode(error, "NO_SUCH_FILE")) throw error;
    }
    checkExpected(path, configFrom(options, path), expected, "a new file would have", CONTRADICTION);
    try {
      return createWriter(path, options, creationPath(path));
    } catch (error) {
      // Another process has created the file in between: open it.
      if (!hasCode(error, "ALREADY_EXISTS") || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

export function openMemory(options: CreateOptions): OpenedWriter {
  const config = configFrom(options);
  const choices = choicesFrom(options);
  const sizeBytes = cellsAtFirst(config, options, choices.stepBytes) * config.bytesPerCell;
  const region = new MemoryRegion(sizeBytes, config.maxIndex * config.bytesPerCell);
  return { region, config, store: createStore(region, config, choices), writerKey: choices.writerKey };
}

function cellsAtFirst(config: CheckedConfig, options: CreateOptions, stepBytes: number | null): number {
  const startIndex = startIndexOf(config.bytesPerCell);
  const capacityCells = capacityFrom(options, startIndex, config.maxIndex);
  return capacityCells ?? initialCells(config, startIndex, stepBytes);
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof StorageError && error.code === code;
}
