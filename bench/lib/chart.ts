/** The chart of the README: for some rows a bar for each contestant; shorter is better. */

import { type ContestantReport, figure, type Report, type RowReport } from "./report.ts";

/** The rows that are drawn, as far as they were run. */
const ROWS: readonly string[] = ["write-small", "read-copies", "commit", "durable", "cold-1m", "open-killed"];

const WIDTH = 760;
const MARGIN = 24;
const BARS_LEFT = 252;
/** Leaves room for the label behind the longest bar. */
const BARS_WIDTH = 340;
const BAR_HEIGHT = 14;
const LINE_HEIGHT = 22;
const GROUP_GAP = 18;
const HEAD_HEIGHT = 74;
const FOOT_HEIGHT = 40;

const STYLE = `
  text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
  .title { font-size: 17px; font-weight: 600; }
  .group { font-weight: 600; }
  .muted { fill: #59636e; font-size: 12px; }
  .page { fill: #ffffff; stroke: #d1d9e0; }
  .peer { fill: #b6c0cb; }
  .ours { fill: #1a7f5a; }
  .ours-text { font-weight: 600; }
  .spread { stroke: #1f2328; stroke-width: 1.5; stroke-opacity: 0.6; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .muted { fill: #9198a1; }
    .page { fill: #0d1117; stroke: #3d444d; }
    .peer { fill: #57616d; }
    .ours { fill: #3fb98a; }
    .spread { stroke: #f0f6fc; }
  }`;

/** The report as an SVG, light or dark as the reader's system is: the rows of it that the chart has. */
export function chart(report: Report): string {
  const rows = report.rows.filter(({ name, refused }) => ROWS.includes(name) && refused === null);
  const groups: string[] = [];
  let top = HEAD_HEIGHT;
  for (const row of rows) {
    groups.push(group(row, top));
    top += LINE_HEIGHT * (row.contestants.filter(({ absent }) => absent === null).length + 1) + GROUP_GAP;
  }
  const height = top + FOOT_HEIGHT - GROUP_GAP;
  const { machine } = report;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Cellar beside other storages: times, less is better">`,
    `<style>${STYLE}\n</style>`,
    `<rect class="page" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="8"/>`,
    text(MARGIN, 34, "title", "Cellar beside other storages"),
    text(
      MARGIN,
      54,
      "muted",
      "Time, shorter is better; each group has its own scale. Bar: median; line: quartiles; ×: of neighbouring slices.",
    ),
    ...groups,
    text(
      MARGIN,
      height - 18,
      "muted",
      `Bun ${machine.bun}, ${machine.system}, ${machine.processor}, ${machine.fileSystem}${report.quick ? ", quick sizes" : ""}`,
    ),
    "</svg>\n",
  ].join("\n");
}

function group({ title, unit, contestants }: RowReport, top: number): string {
  const drawn = contestants.filter(({ absent }) => absent === null);
  const longest = Math.max(...drawn.map(({ quartiles, failure }) => (failure === null ? quartiles[1] : 0)));
  return [
    text(MARGIN, top + 12, "group", title.charAt(0).toUpperCase() + title.slice(1)),
    ...drawn.map((contestant, i) => {
      const y = top + LINE_HEIGHT * (i + 1);
      return bar(contestant, { y, scale: BARS_WIDTH / longest, unit, showRatio: i > 0 });
    }),
  ].join("\n");
}

interface Placed {
  readonly y: number;
  /** Pixels for one unit of time. */
  readonly scale: number;
  readonly unit: string;
  readonly showRatio: boolean;
}

function bar(contestant: ContestantReport, { y, scale, unit, showRatio }: Placed): string {
  const { name, median, quartiles, ratio, failure } = contestant;
  const baseline = y + BAR_HEIGHT - 3;
  const title = text(MARGIN, baseline, isOurs(contestant) ? "ours-text" : "", name);
  if (failure !== null) return [title, text(BARS_LEFT, baseline, "muted", "did not run")].join("\n");
  const width = Math.max(1.5, median * scale);
  const end = BARS_LEFT + Math.max(width, quartiles[1] * scale) + 8;
  const label = `${figure(median)} ${unit}${showRatio && ratio !== null ? `, ${figure(ratio)} ×` : ""}`;
  const middle = y + BAR_HEIGHT / 2;
  const spread = quartiles.map((value) => (BARS_LEFT + value * scale).toFixed(1));
  return [
    title,
    `<rect class="${isOurs(contestant) ? "ours" : "peer"}" x="${BARS_LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" rx="2"/>`,
    `<line class="spread" x1="${spread[0]}" y1="${middle}" x2="${spread[1]}" y2="${middle}"/>`,
    text(end, baseline, isOurs(contestant) ? "ours-text" : "", label),
  ].join("\n");
}

function isOurs({ kind }: ContestantReport): boolean {
  return kind === "cellar";
}

function text(x: number, y: number, style: string, content: string): string {
  const escaped = content.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return `<text x="${x.toFixed(1)}" y="${y}"${style === "" ? "" : ` class="${style}"`}>${escaped}</text>`;
}
