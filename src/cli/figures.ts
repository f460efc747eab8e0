/**
 * Formats numbers for people, and paths for a shell. Indices and lengths stay plain digits, because users copy them
 * into the next command.
 */

import { printable } from "../error.ts";

const CONTROL = /[\x00-\x1f\x7f-\x9f]/g;
const KIB = 1024;
const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** `640 B`, `64.0 KiB`. */
export function bytesText(sizeBytes: number): string {
  if (sizeBytes < KIB) return `${sizeBytes} B`;
  let value = sizeBytes / KIB;
  let unit = 0;
  // A value that would be rounded to 1024.0 becomes 1.0 of the next unit.
  while (value >= KIB - 0.05 && unit < UNITS.length - 1) {
    value /= KIB;
    unit++;
  }
  return `${value.toFixed(1)} ${UNITS[unit]}`;
}

/** `3 cells`, `1 cell`. */
export function countText(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** A root's index as text; 0 is none. */
export function rootText(root: number | null): string {
  return root === null || root === 0 ? "none" : String(root);
}

/** `37.5 %`. A part above zero is never shown as 0 %, and a part below the whole never as 100 %. */
export function shareText(part: number, whole: number): string {
  const percent = whole === 0 ? 0 : (100 * part) / whole;
  if (percent > 0 && percent < 0.1) return "<0.1 %";
  if (percent < 100 && percent > 99.9) return ">99.9 %";
  return `${percent.toFixed(1)} %`;
}

/** A bar of `width` characters. Uses block characters if the locale is UTF-8. */
export function bar(part: number, whole: number, width: number): { readonly full: string; readonly empty: string } {
  const share = whole === 0 ? 0 : Math.min(1, part / whole);
  const filled = share === 0 ? 0 : Math.max(1, Math.floor(share * width));
  const [fullMark, emptyMark] = isUtf8(process.env) ? ["█", "░"] : ["#", "."];
  return { full: fullMark.repeat(filled), empty: emptyMark.repeat(width - filled) };
}

/**
 * A path that can be pasted after a shell prompt. Control characters are written for `printf %b`, so that the terminal
 * does not execute them.
 */
export function shellWord(path: string): string {
  if (path.startsWith("-")) return shellWord(`./${path}`);
  if (/^[\w@%+=:,./-]+$/.test(path)) return path;
  const inQuotes = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  if (printable(path) === path) return inQuotes(path);
  const escaped = path.replaceAll("\\", "\\\\").replace(CONTROL, (unit) => {
    return Array.from(new TextEncoder().encode(unit), (byte) => `\\0${byte.toString(8).padStart(3, "0")}`).join("");
  });
  return `"$(printf %b ${inQuotes(escaped)})"`;
}

function isUtf8(env: Readonly<Record<string, string | undefined>>): boolean {
  const locale = [env["LC_ALL"], env["LC_CTYPE"], env["LANG"]].find((value) => value !== undefined && value !== "");
  return process.platform === "darwin" || /utf-?8/i.test(locale ?? "");
}
