/**
 * A reader that keeps checking until it is told to end (SIGTERM) or killed: `bun reading.ts ORDERS`. Every state that
 * it sees is reported, every root it sees must be a blob of ours, and so must the older blobs that it leads to.
 */

import { StorageError, StorageReader } from "../../../src/index.ts";
import { specOf } from "./blobs.ts";
import type { ReaderEvent, ReaderOrders } from "./events.ts";
import { say } from "./lines.ts";

/** How far back a look goes. */
const OLDER_BLOBS = 4;
const PAUSE_MS = 1;

const orders = JSON.parse(process.argv[2] ?? "{}") as ReaderOrders;
let ending = false;
process.on("SIGTERM", () => {
  ending = true;
});

class Watch {
  readonly #reader: StorageReader = StorageReader.open(orders.path, { follow: orders.follow });
  #refreshes = 0;
  #blobs = 0;
  #stale = 0;
  #shown = { length: 0, truncations: 0 };

  async keepLooking(): Promise<void> {
    report({ event: "opened" });
    for (let first = true; !ending; first = false) {
      const isNew = this.#refresh();
      this.#refreshes++;
      if (isNew || first) this.#look();
      // So that many readers leave the writer a processor; anything new is met without a pause.
      else await Bun.sleep(PAUSE_MS);
      await new Promise(setImmediate);
    }
    this.#reader.close();
    report({ event: "done", refreshes: this.#refreshes, blobs: this.#blobs, stale: this.#stale });
  }

  #refresh(): boolean {
    return this.#reader.refresh();
  }

  #look(): void {
    const { root, length, truncations } = this.#reader;
    report({ event: "saw", root, length, truncations });
    if (length < this.#shown.length && truncations === this.#shown.truncations) {
      report({
        event: "wrong",
        what: `a reader of ${orders.follow} went back from ${this.#shown.length} to ${length} cells`,
      });
    }
    this.#shown = { length, truncations };
    if (root !== null) this.#walk(root, truncations);
  }

  /** From the root back. What is wrong is excused by a truncation since, of which the reader must tell. */
  #walk(root: number, truncations: number): void {
    let index = root;
    let number = 0;
    for (let older = 0; older <= OLDER_BLOBS && index !== 0; older++) {
      const blob = this.#readAt(index);
      if (typeof blob === "string" || (number !== 0 && blob.number !== number)) {
        const what = typeof blob === "string" ? blob : `blob ${blob.number} where ${number} was`;
        this.#refresh();
        if (this.#reader.truncations !== truncations) this.#stale++;
        else
          report({
            event: "wrong",
            what: `a reader of ${orders.follow}, at ${index} of ${this.#shown.length}: ${what}`,
          });
        return;
      }
      this.#blobs++;
      index = blob.previousIndex;
      number = blob.previousNumber;
    }
  }

  #readAt(index: number): { number: number; previousIndex: number; previousNumber: number } | string {
    try {
      const copied = this.#reader.read(index);
      const spec = specOf(copied);
      if (spec === null) return "bytes that were never written";
      const viewed = Buffer.concat(this.#reader.chunks(index));
      return viewed.equals(copied) ? spec : "views that are not what read() gives";
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      return error.code;
    }
  }
}

function report(event: ReaderEvent): void {
  say(event);
}

await new Watch().keepLooking();
