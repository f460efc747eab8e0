/**
 * Replicators, followers, restores and prunes that are killed: before or after each of their requests in turn, and at
 * random moments, while a writer in this process commits, flushes and truncates. What was flushed is kept here.
 */

import { existsSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StorageWriter } from "../../src/index.ts";
import { replicate } from "../../src/replicate/replicator.ts";
import { openStore } from "../../src/replicate/store/open.ts";
import type { ObjectStore, StoreOptions } from "../../src/replicate/store/store.ts";
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

/** Where the replica is, and how it is taken away for a while. */
export interface Place {
  readonly target: string;
  readonly options: StoreOptions;
  stop(): Promise<void> | void;
  start(): Promise<void> | void;
}

interface KillOptions {
  readonly kills: number;
  readonly seed: number;
  /** How often the store is stopped and started under a replicator. Default 1. */
  readonly outages?: number;
  /** Default: a folder. */
  readonly place?: Place;
}

/** Kills so many victims, and returns what was seen. */
export async function replicationKills({ kills, seed, outages = 1, place }: KillOptions): Promise<Figures> {
  const folder = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), "cellar-kills-"));
  const life = await Life.begin(folder, seed, place ?? folderPlace(join(folder, "replica")));
  const violations: string[] = [];
  try {
    let checkedAt = 0;
    while (life.killed < kills || life.outages < outages) {
      if (life.outages * kills <= life.killed * outages && life.outages < outages) await life.outage();
      else await life.round();
      if (life.killed - checkedAt < KILLS_PER_CHECK) continue;
      checkedAt = life.killed;
      await life.check();
    }
    await life.finish();
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? `: ${String(error.cause)}` : "";
    violations.push(`${String(error)}${cause}`);
  } finally {
    life.end();
  }
  return { scenario: "replication killed", seed, values: life.figures(), violations };
}

/** A folder that is moved away for a while. */
function folderPlace(target: string): Place {
  const away = `${target}.away`;
  return { target, options: {}, stop: () => renameSync(target, away), start: () => renameSync(away, target) };
}

class Life {
  readonly #random: Random;
  readonly #folder: string;
  readonly #place: Place;
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
  outages = 0;

  private constructor(folder: string, seed: number, place: Place) {
    this.#random = new Random(seed);
    this.#folder = folder;
    this.#place = place;
    this.#file = join(folder, "data.cellar");
    this.#followed = join(folder, "followed.cellar");
    this.#flushed = new Flushed(this.#file);
    this.#writer = StorageWriter.create(this.#file);
  }

  static async begin(folder: string, seed: number, place: Place): Promise<Life> {
    const life = new Life(folder, seed, place);
    await smallReplica(life.#store);
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

  /** A replicator whose store is stopped and started: it goes on by itself. */
  async outage(): Promise<void> {
    const child = this.#spawn("replicate", this.#file, 0, "before");
    const lines = linesOf(child.stdout);
    for (let line = await lines.next(); line.value !== "begun"; line = await lines.next()) {
      if (line.done) throw new Error(`a replicator did not begin: ${await child.stderr.text()}`);
    }
    await this.#place.stop();
    for (let i = 0; i < 3; i++) this.#change();
    await Bun.sleep(200);
    await this.#place.start();
    await this.#untilOver(child, true);
    if (child.exitCode !== 0) throw new Error(`a replicator did not outlive its store: ${await child.stderr.text()}`);
    this.outages++;
  }

  /** Restores all states, and looks for damage. */
  async check(): Promise<void> {
    const copy = join(this.#folder, "checked.cellar");
    const found = await this.#flushed.check(this.#store, copy);
    this.#states = found.length;
    this.#restored += found.length;
    for await (const { level, message } of verify(this.#store, { download: true })) {
      if (level === "damage") throw new Error(`verify: ${message}`);
    }
  }

  /** Without kills everything comes to the newest state. */
  async finish(): Promise<void> {
    const print = this.#flush();
    await using replicator = replicate(this.#file, this.#store, { intervalMs: 1 });
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
    return {
      kills: this.killed,
      ...byRole,
      outages: this.outages,
      "states at the end": this.#states,
      "states restored": this.#restored,
    };
  }

  get #store(): ObjectStore {
    return openStore(this.#place.target, this.#place.options);
  }

  #spawn(role: Role, file: string, killAt: number, when: string): Bun.Subprocess<"ignore", "pipe", "pipe"> {
    const command = [process.execPath, VICTIM, role, file, this.#place.target, String(killAt), when];
    const env = { ...process.env, STORE_OPTIONS: JSON.stringify(this.#place.options) };
    return Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe", env });
  }

  /** Whether it was killed. */
  async #run(role: Role, killAt: number, when: string, isTimed = false): Promise<boolean> {
    const restored = join(this.#folder, "restored.cellar");
    const file = role === "restore" ? restored : role === "follow" ? this.#followed : this.#file;
    const child = this.#spawn(role, file, killAt, when);
    await linesOf(child.stdout).next();
    if (isTimed) {
      await Bun.sleep(this.#random.below(120));
      child.kill("SIGKILL");
    }
    await this.#untilOver(child, role === "replicate");
    const isKilled = child.signalCode === "SIGKILL";
    if (!isKilled && child.exitCode !== 0) {
      throw new Error(`${role} ended with ${child.exitCode}: ${await child.stderr.text()}`);
    }
    this.#checkFile(role, file);
    return isKilled;
  }

  /** Waits for the end of a victim; the writer may go on beside it. */
  async #untilOver(child: Bun.Subprocess, isWriting: boolean): Promise<void> {
    let isOver = false;
    const exited = child.exited.then(() => (isOver = true));
    while (!isOver) {
      if (isWriting) this.#change();
      await Promise.race([exited, Bun.sleep(15)]);
    }
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
