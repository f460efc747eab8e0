/** The mappings of a file: one mapping, longer than the file, until the file outgrows it. */

import { constants } from "node:os";
import { StorageError } from "../error.ts";
import { MADV_RANDOM } from "../os/constants.ts";
import { libc } from "../os/libc.ts";
import { Mapping, type MappingKind } from "../os/mapping.ts";
import { releaseAll } from "../os/release.ts";

const { ENOMEM } = constants.errno;

/** A file is mapped once, longer than its size. A file that grows past this length is mapped again. */
const MAX_MAPPED_BYTES = 2 ** 40;

/** An open file, and how far it may grow. */
export interface OpenFile {
  readonly fd: number;
  readonly path: string;
  readonly sizeBytes: number;
  readonly maxBytes: number;
  readonly headerBytes: number;
}

/**
 * The current mapping of the file, and earlier, shorter ones. These stay until close, so that every view stays valid.
 */
export class FileMemory {
  readonly #file: OpenFile;
  readonly #kind: MappingKind;
  readonly #earlier: Mapping[] = [];
  #mapping: Mapping;

  constructor(file: OpenFile, kind: MappingKind) {
    this.#file = file;
    this.#kind = kind;
    this.#mapping = this.#map(file.sizeBytes);
  }

  get address(): number {
    return this.#mapping.address;
  }

  view(offset: number, lengthBytes: number, endBytes: number): Uint8Array<ArrayBuffer> {
    return this.#mapping.view(offset, lengthBytes, endBytes);
  }

  ownBuffer(offset: number, lengthBytes: number): ArrayBuffer {
    return this.#mapping.ownBuffer(offset, lengthBytes);
  }

  /** Live buffers over the mappings, including the library's own. */
  get windows(): number {
    return [...this.#earlier, this.#mapping].reduce((sum, { windows }) => sum + windows, 0);
  }

  /** Makes sure that `[0, sizeBytes)` is mapped. */
  cover(sizeBytes: number): void {
    if (sizeBytes <= this.#mapping.lengthBytes) return;
    const larger = this.#map(sizeBytes);
    this.#earlier.push(this.#mapping);
    this.#mapping = larger;
  }

  release(): void {
    releaseAll(...[...this.#earlier, this.#mapping].map((mapping) => () => mapping.release()));
  }

  /** Like `release`, after the owner was garbage-collected: views stay as they are. */
  abandon(): void {
    releaseAll(...[...this.#earlier, this.#mapping].map((mapping) => () => mapping.abandon()));
  }

  #map(sizeBytes: number): Mapping {
    const { maxBytes } = this.#file;
    const wantedBytes = Math.min(maxBytes, Math.max(MAX_MAPPED_BYTES, 2 * sizeBytes));
    const mapping = this.#mapOrFallBack(wantedBytes, sizeBytes);
    // As in Plebeia: cells are read in random order. Ignore the answer, because a refusal costs only speed.
    if (process.env["PLEBEIA_MADVISE_READ_AHEAD"] === undefined) {
      libc().madvise(mapping.address, mapping.lengthBytes, MADV_RANDOM);
    }
    return mapping;
  }

  /**
   * Maps the file. If the kernel refuses private writable memory under its accounting limit, maps it read-only: a store
   * into a view then kills the process.
   */
  #mapOrFallBack(wantedBytes: number, neededBytes: number): Mapping {
    const { fd, path } = this.#file;
    try {
      return Mapping.of(this.#kind, fd, wantedBytes, neededBytes, path);
    } catch (error) {
      if (this.#kind !== "private" || !(error instanceof StorageError) || error.errno !== ENOMEM) throw error;
      return Mapping.of("sharedReadOnly", fd, wantedBytes, neededBytes, path);
    }
  }
}
