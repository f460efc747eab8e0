/** What this machine lacks for a scenario, in words. Env CELLAR_NO_SKIP=1 turns such a skip into a failure. */

import { existsSync } from "node:fs";
import { emulated } from "../../support/emulated.ts";
import type { FileSystem } from "./disk.ts";
import { Workplace } from "./workplace.ts";

export type Need =
  | "linux"
  | "root"
  | "strace"
  | "prlimit"
  | "mount"
  | "loop"
  | "shutdown"
  | "node"
  | "python3"
  | "fuse"
  | "ceph-mon"
  | "ceph-osd"
  | "ceph-common"
  | "radosgw"
  | "swift-proxy"
  | "swift-account"
  | "swift-container"
  | "swift-object"
  | FileSystem;

/** The tool of each need, and the Debian package that has it. */
const tools: Partial<Record<Need, readonly [tool: string, debianPackage: string]>> = {
  strace: ["strace", "strace"],
  prlimit: ["prlimit", "util-linux"],
  mount: ["mount", "mount"],
  loop: ["losetup", "mount"],
  ext4: ["mkfs.ext4", "e2fsprogs"],
  xfs: ["mkfs.xfs", "xfsprogs"],
  btrfs: ["mkfs.btrfs", "btrfs-progs"],
  node: ["node", "nodejs"],
  python3: ["python3", "python3"],
  fuse: ["bindfs", "bindfs"],
  "ceph-mon": ["ceph-mon", "ceph-mon"],
  "ceph-osd": ["ceph-osd", "ceph-osd"],
  "ceph-common": ["ceph", "ceph-common"],
  radosgw: ["radosgw", "radosgw"],
  "swift-proxy": ["swift-proxy-server", "swift-proxy"],
  "swift-account": ["swift-account-server", "swift-account"],
  "swift-container": ["swift-container-server", "swift-container"],
  "swift-object": ["swift-object-server", "swift-object"],
};

/** Needs that QEMU cannot meet, whatever is installed. */
const underQemu: Partial<Record<Need, string>> = {
  strace: "strace would trace QEMU",
  prlimit: "QEMU keeps limits for itself",
  shutdown: "QEMU does not pass on the ioctl that shuts a file system down",
};

/** Whether a scenario can run. */
export interface Requirement {
  readonly met: boolean;
  /** It cannot, and nothing may be skipped: that is a failure. */
  readonly fails: boolean;
  /** For the title of a test: empty, or what is missing. */
  readonly note: string;
}

export function requires(...needs: readonly Need[]): Requirement {
  // On another system the other questions have no meaning.
  const questions: readonly Need[] = missing("linux") === null ? needs : ["linux"];
  const emulator = emulated ? questions.flatMap((need) => underQemu[need] ?? []) : [];
  if (emulator.length > 0) return { met: false, fails: false, note: ` (skipped: ${emulator.join(", ")})` };
  const reasons = questions.map(missing).filter((reason) => reason !== null);
  if (reasons.length === 0) return { met: true, fails: false, note: "" };
  const fails = process.env["CELLAR_NO_SKIP"] === "1";
  return { met: false, fails, note: ` (${fails ? "must not be skipped" : "skipped"}: ${reasons.join(", ")})` };
}

const answers = new Map<Need, string | null>();

function missing(need: Need): string | null {
  const known = answers.get(need);
  if (known !== undefined) return known;
  const answer = look(need);
  answers.set(need, answer);
  return answer;
}

function look(need: Need): string | null {
  const [tool, debianPackage] = tools[need] ?? [];
  // Tools of the administrator may not be in a user's path.
  const path = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  if (tool !== undefined && Bun.which(tool, { PATH: path }) === null)
    return `needs ${tool}: apt-get install ${debianPackage}`;
  switch (need) {
    case "linux":
      return process.platform === "linux" ? null : "needs Linux";
    case "root":
      return process.getuid?.() === 0 ? null : "needs root";
    case "mount":
      return mayMount() ? null : "needs the right to mount";
    case "strace":
      return mayTrace() ? null : "needs the right to trace processes";
    case "fuse":
      return existsSync("/dev/fuse") ? null : "needs /dev/fuse";
    case "loop":
      return existsSync("/dev/loop-control") ? null : "needs loop devices";
    default:
      return null;
  }
}

/** A container may have root, and no rights. */
function mayMount(): boolean {
  using workplace = new Workplace();
  const folder = workplace.makeFolder();
  if (Bun.spawnSync(["mount", "-t", "tmpfs", "tmpfs", folder], { stderr: "ignore" }).exitCode !== 0) return false;
  return Bun.spawnSync(["umount", folder]).exitCode === 0;
}

/** Attaching to a process that is no child of one's own is what a container, or Yama, may forbid. */
function mayTrace(): boolean {
  const attach = [
    "sleep 60 & traced=$!; strace -qq -o /dev/null -p $traced & tracer=$!",
    // Until it is attached, or has given up.
    "until grep -q 'TracerPid:[[:space:]]*[1-9]' /proc/$traced/status || ! kill -0 $tracer; do sleep 0.01; done",
    "grep -q 'TracerPid:[[:space:]]*[1-9]' /proc/$traced/status; answer=$?; kill $traced $tracer; exit $answer",
  ].join("\n");
  return Bun.spawnSync(["sh", "-c", attach], { stderr: "ignore" }).exitCode === 0;
}
