/** Shared by the commands that work on a replica: their options, and the text of a state. */

import { printable } from "../error.ts";
import type { ReplicaState } from "../replicate/history.ts";
import type { ObjectStore } from "../replicate/store/store.ts";
import { UsageError } from "./failure.ts";
import { rootText } from "./figures.ts";
import { paint, widthOf, wrap } from "./output.ts";

type StoreOption = "endpoint" | "region";

/** Options of every command that opens a replica. */
export const storeOptions: Record<StoreOption, { readonly value: string; readonly help: string }> = {
  endpoint: { value: "URL", help: "the S3 server, as https://host; default: S3_ENDPOINT, AWS_ENDPOINT_URL, or AWS" },
  region: { value: "NAME", help: "its region; default: S3_REGION, AWS_REGION, or the store's answer" },
};

export const targetHelp =
  "s3://bucket/prefix, a file: URL, or a folder. Credentials come from variables such as S3_ACCESS_KEY_ID or AWS_ACCESS_KEY_ID";

/** Opens the store of a target. Loads the code of replication only now, because most commands do not need it. */
export async function openTarget(
  target: string,
  { endpoint, region }: { readonly [K in StoreOption]?: string },
): Promise<ObjectStore> {
  const { openStore } = await import("../replicate/index.ts");
  return openStore(target, { endpoint, region });
}

/** A state as a line. */
export function stateLine({ sequence, epoch, time, length, root }: ReplicaState): string {
  const parts = [`state ${sequence}`, `epoch ${epoch}`, `length ${length}`, `root ${rootText(root)}`];
  return wrap([paint("dim", time.toISOString()), ...parts].join("  "), widthOf()).join("\n");
}

/** A state's fields of `--json`. */
export function stateFields({ sequence, epoch, time, length, root }: ReplicaState): Record<string, unknown> {
  return { sequence, epoch, time: time.toISOString(), length, root };
}

/** Parses a time: a day, or ISO 8601. */
export function timeFrom(name: string, text: string): Date {
  const time = new Date(text);
  if (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(time.getTime())) return time;
  const example = "2026-11-01 or 2026-11-01T12:30:00Z";
  throw new UsageError(`${name}: expected a time like ${example}, got ${printable(JSON.stringify(text))}`);
}
