/** How often a storage was emptied by its writers, modulo 2^32. */

import { MAX_U32 } from "../format/layout.ts";

export class Truncations {
  #begun: number;
  #done: number;

  /** Goes on from the count of the newest commit record. */
  constructor(counted: number) {
    this.#begun = counted;
    this.#done = counted;
  }

  /** As commit records count. The number of one that failed may stand in a record, so no other gets it. */
  get begun(): number {
    return this.#begun;
  }

  /** The number of the last that was done: none that failed has taken a cell. */
  get done(): number {
    return this.#done;
  }

  begin(): void {
    this.#begun = (this.#begun + 1) % (MAX_U32 + 1);
  }

  end(): void {
    this.#done = this.#begun;
  }
}
