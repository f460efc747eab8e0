/** File systems of our own: over a file by a loop device, or in memory; mounted, filled, and cut off. */

import { closeSync, openSync, rmSync, statfsSync, statSync, truncateSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { run, type Workplace } from "./workplace.ts";

export type FileSystem = "ext4" | "xfs" | "btrfs";

/** Their makers make nothing smaller. */
export const SMALLEST_BYTES: Readonly<Record<FileSystem, number>> = {
  ext4: 64 * 2 ** 20,
  xfs: 320 * 2 ** 20,
  btrfs: 120 * 2 ** 20,
};

const makers: Readonly<Record<FileSystem, readonly string[]>> = {
  ext4: ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
  xfs: ["mkfs.xfs", "-q", "-f"],
  btrfs: ["mkfs.btrfs", "-q", "-f"],
};

/** A process that has just been killed may hold the mount for a moment. */
const UNMOUNT_TIMEOUT_MS = 5000;

/** A place where a file system is mounted. */
export class Mount {
  readonly folder: string;
  readonly #workplace: Workplace;
  #isMounted = false;

  constructor(workplace: Workplace) {
    this.#workplace = workplace;
    this.folder = workplace.makeFolder();
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  mount(...command: readonly string[]): void {
    run("mount", ...command, this.folder);
    this.#isMounted = true;
    this.#workplace.owns(`mount ${this.folder}`, () => this.unmount());
  }

  unmount(): void {
    if (!this.#isMounted) return;
    const deadline = performance.now() + UNMOUNT_TIMEOUT_MS;
    for (;;) {
      const { exitCode, stderr } = Bun.spawnSync(["umount", this.folder], { stderr: "pipe" });
      if (exitCode === 0) break;
      if (performance.now() > deadline) throw new Error(`umount: ${stderr.toString()}`);
    }
    this.#isMounted = false;
    this.#workplace.disowns(`mount ${this.folder}`);
  }
}

/** Mounts a file system in memory. */
export function mountMemory(workplace: Workplace, sizeBytes: number): Mount {
  const mount = new Mount(workplace);
  mount.mount("-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs");
  return mount;
}

/** A file system in a file. */
export class Disk {
  readonly mount: Mount;
  readonly #device: string;
  readonly #workplace: Workplace;

  constructor(
    workplace: Workplace,
    imagePath: string,
    fileSystem: FileSystem,
    sizeBytes: number,
    ...options: string[]
  ) {
    closeSync(openSync(imagePath, "w"));
    truncateSync(imagePath, sizeBytes);
    run(...makers[fileSystem], ...options, imagePath);
    this.#workplace = workplace;
    this.#device = run("losetup", "--find", "--show", imagePath);
    workplace.owns(this.#device, () => this.#detach());
    this.mount = new Mount(workplace);
    this.mount.mount(this.#device);
  }

  /** Unmounts and mounts again: what is read then comes from the disk, not from memory. */
  remount(): void {
    this.mount.unmount();
    this.mount.mount(this.#device);
  }

  release(): void {
    this.mount.unmount();
    this.#detach();
  }

  #detach(): void {
    run("losetup", "--detach", this.#device);
    this.#workplace.disowns(this.#device);
  }
}

/** A file that takes the space that others want. */
export class Ballast {
  readonly #path: string;

  constructor(folder: string) {
    this.#path = join(folder, "ballast");
  }

  /** Takes everything that is left, or so many bytes of it. */
  fill(limitBytes: number = Infinity): void {
    const fd = openSync(this.#path, "a");
    try {
      for (let left = limitBytes; left > 0;) left -= writeSync(fd, new Uint8Array(Math.min(left, 2 ** 16)));
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOSPC") throw error;
    } finally {
      closeSync(fd);
    }
  }

  /** Takes the last block, then gives so many bytes back. */
  fillBut(freeBytes: number): void {
    this.fill();
    truncateSync(this.#path, Math.max(0, statSync(this.#path).size - freeBytes));
    run("sync", "--file-system", this.#path);
  }

  /** Takes everything but so many bytes, as the file system counts them. */
  leave(freeBytes: number): void {
    const { bavail, bsize } = statfsSync(dirname(this.#path));
    this.fill(bavail * bsize - freeBytes);
  }

  /** Answers how many bytes it had. */
  free(): number {
    const { size = 0 } = statSync(this.#path, { throwIfNoEntry: false }) ?? {};
    rmSync(this.#path, { force: true });
    return size;
  }
}
