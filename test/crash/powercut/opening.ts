/** Opening a region for writing, as `StorageWriter` opens files. */

import { type CheckedConfig, checkConfig, decodeConfig } from "../../../src/format/config.ts";
import { type OpenStore, openStore, type WriterChoices } from "../../../src/store/open.ts";
import { StorageWriter } from "../../../src/writer.ts";
import type { ArrayRegion } from "./array-region.ts";
import type { History } from "./history.ts";
import type { RecordingRegion } from "./recording-region.ts";

/** What a life is lived in. */
export interface Place {
  readonly region: RecordingRegion;
  readonly history: History;
  readonly stepBytes: number | null;
  /** Another one makes other bytes of the same lengths, and another writer key. */
  readonly salt: number;
}

/** A writer over any region. Its constructor is private, because users have files. */
export function writerOver(region: ArrayRegion, choices: WriterChoices, store: OpenStore): StorageWriter {
  return Reflect.construct(StorageWriter, [{ region, config: configIn(region), store, ...choices }]) as StorageWriter;
}

/** The config in a region. */
export function configIn(region: ArrayRegion): CheckedConfig {
  return checkConfig(decodeConfig(region.memory), region.path);
}

/** What a writer chooses. */
export function choicesOf(stepBytes: number | null, salt: number): WriterChoices {
  return { writerKey: new Uint8Array(32).fill(salt + 1), stepBytes };
}

/** Opens what a crash left. The state that is found is published, as of before the first store of opening. */
export function openAfterCrash(
  { region, history, stepBytes, salt }: Place,
  steps: number,
): { readonly writer: StorageWriter; readonly order: number } {
  const begin = region.log.length;
  const choices = choicesOf(stepBytes, salt);
  const store = openStore(region, configIn(region), choices);
  const { next, root } = store.header;
  const order = history.publish({
    root,
    next,
    wholeTo: next - store.recovery.skippedCells,
    versions: history.resumeAtVersion(configIn(region).version),
    steps,
    memory: region.memory,
  });
  region.log.splice(begin, 0, { kind: "begins", order });
  region.reserve(next * history.bytesPerCell);
  return { writer: writerOver(region, choices, store), order };
}
