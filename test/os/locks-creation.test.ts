/** Files appear complete or not at all, and for one writer: creation that is refused, killed, or wanted by many. */

import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { check, StorageReader, StorageWriter } from "../../src/index.ts";
import { type Agent, AgentError } from "../support/process-agent.ts";
import { useAgents } from "../support/process-agents.ts";
import { until } from "../support/process-until.ts";
import { Child } from "../support/child.ts";
import { patienceMs } from "../support/emulated.ts";
import { useFolder } from "../support/folder.ts";
import { Random, seedFromEnvironment } from "../support/random.ts";

const file = useFolder({ inMemory: true });
const { start } = useAgents();
const LONG_MS = patienceMs(20_000);
const refused = expect.objectContaining({ code: "WRITER_LOCKED" });

describe("creation", () => {
  const exists = expect.objectContaining({ code: "ALREADY_EXISTS" });

  test("over anything that exists is refused, and leaves nothing behind", async () => {
    const folder = file("occupied");
    fs.mkdirSync(join(folder, "folder"), { recursive: true });
    StorageWriter.create(join(folder, "closed"), { headString: "kept" }).close();
    using _held = StorageWriter.create(join(folder, "held"));
    fs.writeFileSync(join(folder, "foreign"), "text");
    fs.symlinkSync(join(folder, "closed"), join(folder, "link"));
    fs.symlinkSync(join(folder, "nowhere"), join(folder, "dangling"));
    const names = fs.readdirSync(folder).sort();
    const before = fs.readFileSync(join(folder, "closed"));
    const other = start();
    for (const name of names) {
      expect(() => StorageWriter.create(join(folder, name))).toThrow(exists);
      await expect(other.tell("create", { path: join(folder, name) })).rejects.toEqual(exists);
    }
    expect(fs.readdirSync(folder).sort()).toEqual(names);
    expect(fs.readFileSync(join(folder, "closed"))).toEqual(before);
    expect(fs.readFileSync(join(folder, "foreign"), "utf8")).toBe("text");
  });

  test("that the disk has no room for leaves nothing behind", () => {
    const folder = file("too-large");
    fs.mkdirSync(folder);
    const most = { bytesPerCell: 65535, capacityCells: 2 ** 32 - 1 };
    expect(() => StorageWriter.create(join(folder, "file"), most)).toThrow(
      expect.objectContaining({ code: "DISK_FULL" }),
    );
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  test("killed at any moment leaves a complete file or none", async () => {
    const seed = seedFromEnvironment();
    const random = new Random(seed);
    let halfWay = 0;
    const killOne = async (kill: number): Promise<void> => {
      const folder = file(`creator-${kill}`);
      fs.mkdirSync(folder);
      const made = join(folder, `${random.below(8)}.cellar`);
      await using creator = new Child(join(import.meta.dir, "../support/process-creator.ts"), [folder]);
      await until("so many files are made", () => fs.existsSync(made));
      creator.signal("SIGKILL");
      expect(await creator.exit()).toEqual({ code: null, signal: "SIGKILL" });
      halfWay += checkCreated(folder, seed);
      fs.rmSync(folder, { recursive: true });
    };
    for (let kill = 0; kill < 50; kill += 5) {
      await Promise.all([0, 1, 2, 3, 4].map((i) => killOne(kill + i)));
    }
    expect(halfWay).toBeGreaterThan(0);
  });

  /** Every file under its own name is whole, and the next one is made; answers how many were left under another. */
  function checkCreated(folder: string, seed: number): number {
    const names = fs.readdirSync(folder);
    const made = names.filter((name) => name.endsWith(".cellar"));
    for (const name of made) {
      const path = join(folder, name);
      const damage = check(path).filter(({ level }) => level === "damage");
      expect({ seed, name, damage }).toEqual({ seed, name, damage: [] });
      using writer = StorageWriter.openOrCreate(path, { headString: "created" });
      expect(writer.length).toBeWithin(writer.startIndex, writer.startIndex + 5);
    }
    StorageWriter.create(join(folder, `${made.length}.cellar`)).close();
    return names.length - made.length;
  }

  test("or opening by eight processes at once has one winner", async () => {
    const agents = Array.from({ length: 8 }, start);
    const folder = file("contended");
    fs.mkdirSync(folder);
    for (let round = 0; round < 10; round++) {
      const path = join(folder, String(round));
      const opened = agents.map((agent) => agent.tell("openOrCreate", { path }).catch((error: unknown) => error));
      const losers = (await Promise.all(opened)).filter((outcome) => outcome instanceof AgentError);
      expect(losers).toEqual(new Array(7).fill(refused));
      for (const agent of agents) await agent.tell("reset");
    }
    expect(fs.readdirSync(folder)).toHaveLength(10);
  });

  test("or opening by eight processes that wait gives each its turn", async () => {
    const path = file();
    let holders = 0;
    const texts = new Map<number, string>();
    const takeTurns = async (agent: Agent): Promise<void> => {
      for (let turn = 0; turn < 5; turn++) {
        await agent.tell("openOrCreate", { path, lockTimeoutMs: LONG_MS });
        expect(++holders).toBe(1);
        const text = `turn ${turn} of ${agent.pid}`;
        texts.set(await agent.tell("put", text), text);
        expect(--holders).toBe(0);
        await agent.tell("reset");
      }
    };
    await Promise.all(Array.from({ length: 8 }, start).map(takeTurns));
    using reader = StorageReader.open(path);
    expect(texts.size).toBe(40);
    for (const [index, text] of texts) expect(new TextDecoder().decode(reader.read(index))).toBe(text);
  });
});
