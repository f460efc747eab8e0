/**
 * Replicators, followers, restores and prunes that are killed: before or after each of their requests in turn, and at
 * random moments, while a writer in this process commits, flushes and truncates. What was flushed is kept here.
 */

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StorageWriter } from "../../src/index.ts";
import { replicate } from "../../src/replicate/replicator.ts";
import { openStore } from "../../src/replicate/store/open.ts";
import { verify } from "../../src/replicate/verify.ts";
import type { Figures } from "../crash/survive/figures.ts";
import { linesOf } from "../support/child.ts";
import { Random } from "../support/random.ts";
import { fingerprint, Flushed, smallReplica } from "./life.ts";

const VICTIM: string = join(import.meta.dir, "kill-victim.ts");
/** A file system in memory, where syncs cost nothing: these tests are not about power cuts. */
const MEMORY = "/dev/shm";
const ROLES = ["replicate", "replicate", "replicate", "follow", "restore", "prune"] as const;
type Role = (typeof ROLES)[number];
/** All states are restored and compared after so many kills, and at the end. */
const KILLS_PER_CHECK = 25;

interface KillOptions {
  readonly kills: number;
  readonly seed: number;
}

/** Kills so many victims, and returns what was seen. */
export async function replicationKills({ kills, seed }: KillOptions): Promise<Figures> {
  const life = await Life.begin(mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), "cellar-kills-")), seed);
  const violations: string[] = [];
  try {
    while (life.killed < kills) {
      await life.round();
      if (life.killed % KILLS_PER_CHECK === 0) await life.check();
    }
    await life.finish();
  } catch (error) {
    violations.push(
      error instanceof Error
        ? `${error.message}${error.cause === undefined ? "" : `: ${String(error.cause)}`}`
        : String(error),
    );
  } finally {
    life.end();
  }
  return { scenario: "replication killed", seed, values: life.figures(), violations };
}

class Life {
  readonly #random: Random;
  readonly #folder: string;
  readonly #target: string;
  readonly #file: string;
  readonly #followed: string;
  readonly #flushed: Flushed;
  /** The request at which the next victim of a role is killed: each in turn. */
  readonly #next = new Map<Role, number>();
  readonly #killedOf = new Map<Role, number>();
  #writer: StorageWriter;
  #restored = 0;
  #states = 0;
  killed = 0;

  private constructor(folder: string, seed: number) {
    this.#random = new Random(seed);
    this.#folder = folder;
    this.#target = join(folder, "replica");
    this.#file = join(folder, "data.cellar");
    this.#followed = join(folder, "followed.cellar");
    this.#flushed = new Flushed(this.#file);
    this.#writer = StorageWriter.create(this.#file);
  }

  static async begin(folder: string, seed: number): Promise<Life> {
    const life = new Life(folder, seed);
    await smallReplica(openStore(life.#target));
    life.#flush();
    await life.#run("replicate", 0, "before");
    return life;
  }

  /** One victim; most of them are killed. */
  async round(): Promise<void> {
    const role = this.#random.pick(ROLES);
    for (let i = this.#random.below(3); i > 0; i--) this.#change();
    const isTimed = this.#random.chance(0.3);
    const at = this.#next.get(role) ?? 1;
    const isKilled = await this.#run(role, isTimed ? 0 : at, this.#random.pick(["before", "after"]), isTimed);
    if (!isTimed) this.#next.set(role, isKilled ? at + 1 : 1);
    if (!isKilled) return;
    this.killed++;
    this.#killedOf.set(role, (this.#killedOf.get(role) ?? 0) + 1);
  }

  /** Restores all states, and looks for damage. */
  async check(): Promise<void> {
    const copy = join(this.#folder, "checked.cellar");
    const found = await this.#flushed.check(this.#target, copy);
    this.#states = found.length;
    this.#restored += found.length;
    for await (const { level, message } of verify(this.#target, { download: true })) {
      if (level === "damage") throw new Error(`verify: ${message}`);
    }
  }

  /** Without kills everything comes to the newest state. */
  async finish(): Promise<void> {
    const print = this.#flush();
    await using replicator = replicate(this.#file, this.#target, { intervalMs: 1 });
    this.#flushed.acknowledge(await replicator.replicated({ compared: true }), print);
    await replicator.close();
    await this.check();
    await this.#run("follow", 0, "before");
    if (fingerprint(this.#followed) !== print) throw new Error("the follower is not at the newest state");
    await this.#run("prune", 0, "before");
    await this.check();
  }

  end(): void {
    this.#writer.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  figures(): Readonly<Record<string, number>> {
    const byRole = Object.fromEntries([...this.#killedOf].map(([role, count]) => [`${role} killed`, count]));
    return { kills: this.killed, ...byRole, "states at the end": this.#states, "states restored": this.#restored };
  }

  async #run(role: Role, killAt: number, when: string, isTimed = false): Promise<boolean> {
    const file =
      role === "restore" ? join(this.#folder, "restored.cellar") : role === "follow" ? this.#followed : this.#file;
    const command = [process.execPath, VICTIM, role, file, this.#target, String(killAt), when];
    const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe" });
    const lines = linesOf(child.stdout);
    await lines.next();
    let isOver = false;
    const exited = child.exited.then(() => (isOver = true));
    if (isTimed) {
      await Bun.sleep(this.#random.below(120));
      child.kill("SIGKILL");
    }
    // The writer goes on beside it.
    while (!isOver) {
      if (role === "replicate") this.#change();
      await Promise.race([exited, Bun.sleep(15)]);
    }
    const isKilled = child.signalCode === "SIGKILL";
    if (!isKilled && child.exitCode !== 0)
      throw new Error(`${role} ended with ${child.exitCode}: ${await child.stderr.text()}`);
    this.#checkFile(role, file);
    return isKilled;
  }

  /** A restore leaves a whole file or none, a follower's file is at a whole state. */
  #checkFile(role: Role, file: string): void {
    if ((role !== "restore" && role !== "follow") || !existsSync(file)) return;
    const print = fingerprint(file);
    if (!this.#flushed.all.has(print)) throw new Error(`${role} left ${print}, which was never flushed`);
    if (role === "restore") rmSync(file);
  }

  #change(): void {
    const random = this.#random;
    if (random.chance(0.03)) {
      // Both flush what was committed before: it must be known here.
      this.#flush();
      this.#writer.truncate();
      this.#flush();
    } else if (random.chance(0.1)) {
      this.#flush();
      this.#writer.close();
      this.#writer = StorageWriter.open(this.#file);
    } else {
      const bytes = new Uint8Array(random.pick([10, 1000, 30_000, 150_000])).fill(random.below(256));
      this.#writer.root = this.#writer.write(bytes);
    }
    if (random.chance(0.8)) this.#flush();
    else this.#writer.commit();
  }

  #flush(): string {
    return this.#flushed.flush(this.#writer);
  }
}
