/**
 * (g) Two to eight processes want to write the same file at the same moment: one wins, the others are refused. Then
 * they wait for it, the winner is killed, and one of them has the file at once, with all that was committed.
 */

import { rmSync } from "node:fs";
import type { Child, Message } from "../../support/child.ts";
import { type Figures, percentile } from "./figures.ts";
import { Random } from "../../support/random.ts";
import { endChild, startChild } from "./spawned.ts";
import { Workplace } from "./workplace.ts";

export interface WriterRaceOptions {
  readonly runs: number;
  readonly seed: number;
  /** The most processes. */
  readonly contenders: number;
}

/** Longer than a process may take to be told. */
const START_MS = 8;
const WAIT_MS = 20_000;

export async function writerRace({ runs, seed, contenders }: WriterRaceOptions): Promise<Figures> {
  using workplace = new Workplace();
  const race = new Race(workplace, new Random(seed), contenders);
  for (let round = 0; round < runs; round++) await race.round(round);
  await race.end();
  const { takeoversMs, violations, tally } = race;
  const values = {
    rounds: runs,
    "processes that wanted to write": tally.wanted,
    "refused at once": tally.refused,
    "rounds that began without a file": tally.created,
    "winners killed": takeoversMs.length,
    "takeover ms, p50": percentile(takeoversMs, 0.5).toFixed(1),
    "takeover ms, p99": percentile(takeoversMs, 0.99).toFixed(1),
    "handed on by close": tally.handedOn,
  };
  return { scenario: "writers race", seed, values, violations };
}

class Race {
  readonly violations: string[] = [];
  readonly takeoversMs: number[] = [];
  readonly tally = { wanted: 0, refused: 0, created: 0, handedOn: 0 };
  readonly #workplace: Workplace;
  readonly #random: Random;
  readonly #children: Child[] = [];
  readonly #path: string;
  /** The number of the last blob that was committed. */
  #number = 0;

  constructor(workplace: Workplace, random: Random, contenders: number) {
    this.#workplace = workplace;
    this.#random = random;
    this.#path = workplace.path();
    for (let i = 0; i < contenders; i++) this.#children.push(startChild(this.#workplace, "contender.ts"));
  }

  async round(round: number): Promise<void> {
    const before = this.violations.length;
    if (this.#random.chance(0.3)) {
      rmSync(this.#path, { force: true });
      this.#number = 0;
      this.tally.created++;
    }
    const count = this.#random.between(2, this.#children.length);
    const racers = this.#random.sample(this.#children, count);
    this.tally.wanted += count;
    const winner = await this.#race(racers);
    if (winner !== null) {
      await this.#write(winner);
      await this.#takeOver(
        winner,
        racers.filter((racer) => racer !== winner),
      );
    }
    for (let i = before; i < this.violations.length; i++) this.violations[i] += ` [round ${round}]`;
  }

  async end(): Promise<void> {
    for (const child of this.#children) await endChild(this.#workplace, child);
  }

  /** All at once, nobody waits: exactly one gets it. */
  async #race(racers: readonly Child[]): Promise<Child | null> {
    const at = performance.timeOrigin + performance.now() + START_MS;
    const command = { do: "open", path: this.#path, at, lockTimeoutMs: 0 };
    const answers = await Promise.all(racers.map(async (racer) => ({ racer, answer: await racer.ask(command) })));
    const winners = answers.filter(({ answer }) => answer["won"] === true);
    for (const { answer } of answers) {
      if (answer["won"] === true) this.#foundAll(answer);
      else if (answer["code"] === "WRITER_LOCKED") this.tally.refused++;
      else this.violations.push(`a loser was refused with ${String(answer["code"])}`);
    }
    if (winners.length !== 1) this.violations.push(`${winners.length} of ${racers.length} won`);
    return winners[0]?.racer ?? null;
  }

  /** The losers wait, the winner is killed; the next one closes, and so on. No two ever have it at once. */
  async #takeOver(winner: Child, losers: readonly Child[]): Promise<void> {
    const command = { do: "open", path: this.#path, at: 0, waits: true, lockTimeoutMs: WAIT_MS };
    await Promise.all(losers.map((loser) => loser.ask(command)));
    const waiting = new Map(losers.map((loser) => [loser, loser.next().then((answer) => ({ loser, answer }))]));
    const killedAt = performance.timeOrigin + performance.now();
    await endChild(this.#workplace, winner);
    let freeSince = killedAt;
    for (let turn = 0; waiting.size > 0; turn++) {
      const { loser, answer } = await Promise.race(waiting.values());
      waiting.delete(loser);
      if (answer["won"] !== true) {
        this.violations.push(`somebody who waited was refused with ${String(answer["code"])}`);
        continue;
      }
      const at = Number(answer["at"]);
      if (turn === 0) this.takeoversMs.push(at - killedAt);
      else this.tally.handedOn++;
      if (at < freeSince) this.violations.push(`two writers at once, for ${freeSince - at} ms`);
      this.#foundAll(answer);
      await this.#write(loser);
      freeSince = Number((await loser.ask({ do: "close" }))["closedAt"]);
    }
    this.#children[this.#children.indexOf(winner)] = startChild(this.#workplace, "contender.ts");
  }

  #foundAll({ last }: Message): void {
    if (last !== this.#number) this.violations.push(`found blob ${String(last)}, committed was ${this.#number}`);
  }

  async #write(child: Child): Promise<void> {
    this.#number++;
    await child.ask({ do: "write", number: this.#number });
  }
}
