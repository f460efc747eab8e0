/** Describes a recovery in a sentence. */

import { differencesIn, type StorageConfig } from "../format/config.ts";
import type { Recovery } from "../state/choose-state.ts";
import { countText } from "./figures.ts";

const ignoredText = { torn: "torn", older: "older than the flush", pastEnd: "past the file's end" } as const;

/** The recovery that opening did, or would do. */
export function recoveryText({
  state,
  skippedCells,
  ignored,
}: Pick<Recovery, "state" | "skippedCells" | "ignored">): string {
  if (state === "clean") return "clean: last flush and last commit agree";
  if (state === "resumedAtCommit" && skippedCells > 0) {
    return `at the newest commit that is proven whole: ${countText(skippedCells, "cell")} of later ones skipped`;
  }
  if (state === "resumedAtCommit") return "at the last commit, proven whole: nothing committed is lost";
  if (ignored !== undefined) return `at the last flush: the process-sync header is ${ignoredText[ignored]}`;
  return `at the last flush: ${countText(skippedCells, "unproven cell")} skipped`;
}

/** Describes the damaged fields of a config. */
export function configDamageText(damaged: StorageConfig, config: StorageConfig): string {
  const what = differencesIn(damaged, config).map(
    ({ name, found, expected }) => `${name} is ${found}, and was ${expected}`,
  );
  return `${what.join("; ")}, as its hash confirms`;
}
