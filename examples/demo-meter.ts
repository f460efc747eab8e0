/** The output of the demo: permanent lines, and one progress line if stdout is a terminal. */

const { stdout } = process;
const ERASE_LINE = stdout.isTTY ? "\r\x1b[2K" : "";
const REDRAW_MS = 100;

export class Meter {
  files = 0;
  bytes = 0;
  readonly #startMs: number = performance.now();
  #shownMs = -REDRAW_MS;

  addFile(bytes: number, doing: string): void {
    this.files++;
    this.bytes += bytes;
    if (performance.now() - this.#shownMs >= REDRAW_MS) this.show(doing);
  }

  show(doing: string): void {
    this.#shownMs = performance.now();
    if (stdout.isTTY) stdout.write(ERASE_LINE + (doing.padEnd(10) + this.speed()).slice(0, stdout.columns - 1));
  }

  speed(): string {
    const seconds = (performance.now() - this.#startMs) / 1000;
    return `${amounts(this.files, this.bytes)}  ${seconds.toFixed(2)} s, ${Math.round(this.bytes / 1e6 / seconds)} MB/s`;
  }
}

/** Files and bytes, in columns. */
export function amounts(files: number, bytes: number): string {
  return `${files.toLocaleString("en").padStart(9)} files${bytes.toLocaleString("en").padStart(16)} bytes`;
}

/** Prints a line. A file name may have any characters, so control characters are escaped. */
export function say(label: string, text: string): void {
  const safe = text.replace(/\p{C}/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
  console.log(ERASE_LINE + label.padEnd(10) + safe);
}
