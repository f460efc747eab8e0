/** Puts a report into the documents: the table into docs/performance.md, the chart beside the other pictures. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chart } from "./chart.ts";
import { type Report, table } from "./report.ts";

/** The first block of plain text under this heading is the table. */
const TABLE = /(\n## The table\n[^]*?\n```text\n)[^]*?(\n```\n)/;

/** `docs` is the folder of the documents. */
export function updateDocs(report: Report, docs: string): void {
  const path = join(docs, "performance.md");
  const text = readFileSync(path, "utf8");
  if (!TABLE.test(text)) throw new Error(`${path}: no block of text under "The table"`);
  writeFileSync(
    path,
    text.replace(TABLE, (_, before: string, after: string) => `${before}${table(report).trimEnd()}${after}`),
  );
  writeFileSync(join(docs, "images", "benchmark.svg"), chart(report));
}
