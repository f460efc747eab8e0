/**
 * A model of the log: sessions, their openings and records, full records, epochs, `prune`, restores and a follower, with
 * requests that are lost or late, and kills, one step at a time. It has the rules of `src/replicate`, not its code, so that
 * a rule can be taken away and be seen to be needed. See `configurations.ts`.
 *
 * Its names are short, for its states are written as JSON a million times. A block has two cells, a cell one letter.
 *
 * - A record (`ModelRecord`): `u` its author and number, `k` its kind (`o` opening, `b` blocks, `s` state, `f` full), `fb`
 *   first block, `s` session, `m` sequence, `ep` epoch, `n` next, `first`, `c` its cells, `b` its blocks, `f` newest full
 *   record, `since` states that it names, `pv` previous, `cnt` truncations, `fi` file, `t` time, `hb` all cells, as hashes
 *   tell.
 * - What was read of the log (`View`): `p` sequence, `lu` last record, `kb` named blocks, `has` a state, `ls` its number.
 * - A session (`ModelSession`): `ph` phase, `sent` a record without an answer, `up` uploaded blocks, `ne` begins an epoch.
 * - The world: `log` what the store has, `H` the history (with what `prune` deleted), `fl` late requests, `pr` the prune,
 *   `rs` the restore, `fo` the follower, `acked` records, `err` what is wrong.
 */

import { type Outcome, search, type Step } from "./search.ts";

const clone = <T>(x: T): T => JSON.parse(JSON.stringify(x));
type ModelRecord = {
  u: string;
  k: "o" | "b" | "s" | "f";
  fb: number;
  s: number;
  m: number;
  ep: number;
  n: number;
  first: number;
  c: string;
  b: string[];
  f: number;
  since: [number, number][];
  pv: string;
  cnt: number;
  fi: number;
  t: number;
  hb: string;
};
type View = {
  p: number;
  lu: string;
  ep: number;
  c: string;
  n: number;
  kb: string[];
  f: number;
  since: [number, number][];
  cnt: number;
  fi: number;
  t: number;
  has: boolean;
  ls: number;
};
type ModelSession = {
  cc?: number;
  ph: string;
  fi: number;
  v: View | null;
  sent: ModelRecord | null;
  up: string[];
  ne: boolean;
};
type World = {
  log: (ModelRecord | null)[];
  H: ModelRecord[];
  files: { c: string; cnt: number; life: number; had: number }[];
  ses: ModelSession[];
  fl: ModelRecord[];
  blocks: string[];
  pr: { ph: string; F: number; fr: [number, number]; ep: number; i: number; g: number; nm: string[] } | null;
  prunes: number;
  rs: { n: number; ph: string; got: ModelRecord[]; w: number; keys: string[]; c: string } | null;
  rss: number;
  fo: View | null;
  faults: number;
  kills: number;
  fls: number;
  truncs: number;
  acked: string[];
  err: string | null;
};
export type Configuration = {
  name: string;
  S: number;
  N: number;
  F: number;
  files: number[];
  flushes: number;
  truncs?: number;
  faults?: number;
  kills?: number;
  prunes?: number;
  restore?: number;
  follow?: "check" | "naive";
  forget?: boolean;
  dropEp?: boolean;
  bl?: boolean;
  rollback?: "never" | "unproven";
  frontier?: "named";
  relist?: boolean;
  openAfterCompare?: boolean;
  preFull?: boolean;
  preCnt?: "old" | "new";
  identity?: boolean;
  blocksCnt?: boolean;
  mismatch?: "corrupt" | "again";
  desc?: boolean;
  prune2?: boolean;
  fromMiddle?: boolean;
  pruneCrash?: boolean;
  staticStates?: "union" | "def";
  halving?: "naive" | "skipO" | "def" | "defO";
  off?: number[];
  deadFence?: boolean;
  pruneOpen?: boolean;
  retry?: "newer";
  copyAt?: boolean;
  oldCopies?: boolean;
  pvCheck?: boolean;
  epOpen?: boolean;
  lateBlocks?: boolean;
  idleFence?: boolean;
  openLate?: boolean;
  script?: string[];
  cap?: number;
};
const EMPTY_VIEW: View = {
  p: 0,
  lu: "-",
  ep: 0,
  c: "",
  n: 0,
  kb: [],
  f: 0,
  since: [],
  cnt: 0,
  fi: -1,
  t: 0,
  has: false,
  ls: 0,
};
const cont = (k: string) => k.split("-")[2]!;
/**
 * How many of the named blocks a file has: all, or fewer where those past the newest state differ, which hold nothing that
 * can be restored. -1: it does not continue the replica.
 */
function keptBlocks(c: Configuration, content: string, v: View): number {
  if (!content.startsWith(v.c)) return -1;
  let kept = 0;
  while (kept < v.kb.length && content.slice(2 * kept, 2 * kept + 2) === cont(v.kb[kept]!)) kept++;
  if (kept === v.kb.length) return kept;
  const isProven = v.c !== "" || c.rollback === "unproven";
  return c.rollback !== "never" && isProven && kept >= Math.floor(v.n / 2) ? kept : -1;
}

export function explore(c: Configuration): Outcome {
  const nm = (i: number) => "XYZ"[i]!;
  const d = (r: ModelRecord) =>
    r.k === "o"
      ? `opening ${nm(r.s)}`
      : r.k === "b"
        ? `blocks ${r.b} epoch ${r.ep}`
        : `${r.k === "f" ? "full" : "state"} "${r.hb}" epoch ${r.ep} of ${nm(r.s)}`;
  const fold = (v: View, r: ModelRecord, check = true): View | null => {
    const w: View = { ...v, p: r.m, lu: r.u, t: Math.max(v.t, r.t) };
    if (r.k === "o") {
      if (c.identity) {
        w.cnt = r.cnt;
        w.fi = r.fi;
      }
      return w;
    }
    if (r.k === "f") {
      w.ep = r.ep;
      w.kb = [...r.b];
      w.c = r.hb;
      w.n = r.n;
      w.f = r.m;
      w.since = [];
      w.cnt = r.cnt;
      w.fi = r.fi;
      w.has = true;
      w.ls = r.m;
      return w;
    }
    if (r.ep !== w.ep) {
      w.ep = r.ep;
      w.kb = [];
      w.c = "";
      w.n = 0;
      w.since = [];
    }
    w.kb = w.kb.slice(0, r.fb);
    for (const k of r.b) w.kb[Number(k.split("-")[1])] = k;
    for (let i = 0; i < w.kb.length; i++)
      if (w.kb[i] == null) {
        if (check) return null;
        w.kb[i] = "x-x-??";
      }
    if (r.k === "b") {
      if (c.blocksCnt) {
        w.cnt = r.cnt;
        w.fi = r.fi;
      }
      return w;
    }
    let base = w.kb.map(cont).join("");
    if (base.length < r.n) base = base + w.c.slice(base.length, r.first) + r.c;
    base = base.slice(0, r.n);
    if (check && base !== r.hb) return null;
    w.c = base;
    w.n = r.n;
    w.since = [...w.since, [r.m, r.n]];
    w.cnt = r.cnt;
    w.fi = r.fi;
    w.has = true;
    w.ls = r.m;
    return w;
  };
  const max = (s: World) => s.H.length; // the highest key is never deleted: checked below
  const foldH = (s: World, n: number): View => {
    let v = EMPTY_VIEW;
    for (let i = 0; i < n; i++) {
      const w = fold(v, s.H[i]!);
      if (!w) throw new Error("history does not fold " + JSON.stringify(s.H));
      v = w;
    }
    return v;
  };
  const newestFull = (s: World) => {
    for (let n = s.H.length; n > 0; n--) if (s.H[n - 1]!.k === "f") return n;
    return 0;
  };
  // ghost: states that remain
  const remaining = (s: World): Map<number, [number, string]> => {
    const m = new Map<number, [number, string]>();
    const nf = newestFull(s);
    for (let n = 1; n <= s.H.length; n++) {
      const r = s.log[n];
      if (r && r.k === "f") {
        m.set(n, [r.ep, r.hb]);
        for (const [q, x] of r.since) m.set(q, [r.ep, r.hb.slice(0, x)]);
      }
    }
    for (let n = nf + 1; n <= s.H.length; n++) {
      const r = s.H[n - 1]!;
      if (r.k === "s") m.set(n, [r.ep, r.hb]);
    }
    return m;
  };
  const fullFor = (s: World, n: number): ModelRecord | null => {
    for (let q = n; q <= s.H.length; q++) {
      const r = s.log[q];
      if (r && r.k === "f") return q === n || r.since.some((x) => x[0] === n) ? r : null;
    }
    return null;
  };
  const bad = (s: World): string | null => {
    if (s.err) return s.err;
    for (let n = s.log.length - 1; n > 0; n--)
      if (s.log[n]) {
        if (n !== s.H.length) return `the highest key is log/${n}, the history has ${s.H.length}`;
        if (s.log[n]!.u !== s.H[n - 1]!.u) return "the newest is not the history's";
        break;
      }
    for (const a of s.acked) {
      const [, m] = a.split(".");
      if (s.H[Number(m) - 1]?.u !== a) return `acknowledged log/${m} is not in the history`;
    }
    let opener = -1,
      prevS: ModelRecord | null = null;
    for (const r of s.H) {
      if (r.k === "o") {
        opener = r.s;
        continue;
      }
      if (r.s !== opener) return `two primaries go on: ${d(r)} after the opening of ${nm(opener)}`;
      if (r.k === "b") continue;
      if (prevS && prevS.ep === r.ep && !r.hb.startsWith(prevS.hb))
        return `log/${r.m} "${r.hb}" overwrites "${prevS.hb}"`;
      prevS = r;
    }
    for (const [i, x] of s.ses.entries())
      if (x.ph === "live" && x.v) {
        const h = foldH(s, x.v.p);
        if (
          JSON.stringify([h.c, h.ep, h.kb, h.since, h.f, h.lu, h.cnt]) !==
          JSON.stringify([x.v.c, x.v.ep, x.v.kb, x.v.since, x.v.f, x.v.lu, x.v.cnt])
        )
          return `${nm(i)} goes on from a false view ${JSON.stringify(x.v)} instead of ${JSON.stringify(h)}`;
      }
    const rem = remaining(s);
    const nf = newestFull(s);
    for (const [n, [ep, want]] of rem) {
      let r: ModelRecord | null = fullFor(s, n);
      let keys: string[], cc: string;
      if (r) {
        keys = r.b;
        cc = r.hb.slice(0, want.length);
      } else {
        if (n <= nf) return `state ${n} remains, no full record names it first`;
        const f = s.H[n - 1]!.f;
        let v: View = EMPTY_VIEW;
        for (let q = Math.max(1, f); q <= n; q++) {
          const x = s.log[q];
          if (!x) return `state ${n} remains, log/${q} is gone`;
          const w = fold(v, x);
          if (!w) return `state ${n} does not fold`;
          v = w;
        }
        keys = v.kb;
        cc = v.c;
      }
      if (cc !== want) return `state ${n} restores "${cc}", it was "${want}"`;
      for (const k of keys)
        if (Number(k.split("-")[1]) * 2 < want.length && !s.blocks.includes(k))
          return `state ${n} (epoch ${ep}) remains, but block/${k} is gone`;
    }
    if (s.acked.length && rem.size === 0) return "no state is left";
    for (let n = 1; n < nf; n++)
      if (s.H[n - 1]!.k === "s" && !s.H.some((r) => r.k === "f" && r.since.some((x) => x[0] === n)))
        return `state ${n} is lost: named by no full record, and before the newest full one`;
    if (c.staticStates) {
      const out: number[] = [];
      for (let n = 1; n <= s.H.length; n++) {
        const r = s.log[n];
        if (!r) continue;
        if (r.k === "f") {
          for (const x of r.since) out.push(x[0]);
          out.push(n);
        } else if (r.k === "s" && (c.staticStates === "union" || n > nf)) out.push(n);
      }
      if (new Set(out).size !== out.length) return `states lists ${out} (twice)`;
      for (const n of out)
        if (!rem.has(n))
          return `states lists ${n}, which was forgotten; its restore: ${fullFor(s, n) ? "ok" : "NO_SUCH_STATE or REPLICA_CORRUPT"}`;
      if (out.length !== rem.size) return `states lists ${out}, there are ${[...rem.keys()]}`;
    }
    if (c.halving) {
      // for each time: the last state at or before it, by halving over the keys that exist
      const ks = s.log.map((r, i) => (r ? i : 0)).filter(Boolean) as number[];
      const times: Record<number, number> = {};
      for (const r of s.H) times[r.m] = r.t;
      for (let t = 0; t <= 6; t++) {
        const want = Math.max(0, ...[...rem.keys()].filter((n) => times[n]! <= t));
        let lo = 0,
          hi = ks.length; // ks[lo-1] <= t < ks[hi]
        const use =
          c.halving === "naive" || c.halving === "defO"
            ? ks
            : ks.filter((k) => s.log[k]!.k !== "o" && s.log[k]!.k !== "b");
        lo = 0;
        hi = use.length;
        while (lo < hi) {
          const mid = (lo + hi) >> 1;
          if (s.log[use[mid]!]!.t <= t) lo = mid + 1;
          else hi = mid;
        }
        let got = 0;
        if (c.halving !== "def" && c.halving !== "defO") {
          for (let i = lo - 1; i >= 0; i--) {
            const r = s.log[use[i]!]!;
            if (r.k === "s" || r.k === "f") {
              got = r.m;
              break;
            }
          }
        } else {
          // the first full record after it: its list; else what is found
          while (lo && "ob".includes(s.log[use[lo - 1]!]!.k)) lo--;
          const at = lo ? use[lo - 1]! : 0;
          let f: ModelRecord | null = null;
          for (let n = at + 1; n <= s.H.length; n++)
            if (s.log[n]?.k === "f") {
              f = s.log[n]!;
              break;
            }
          got = at && (s.log[at]!.k === "f" || at > nf) ? at : 0;
          if (f) for (const [q] of f.since) if (times[q]! <= t && q > got) got = q;
          if (!f && at > got && rem.has(at)) got = at;
          if (!got) {
            for (let i = lo - 1; i >= 0; i--)
              if (rem.has(use[i]!)) {
                got = use[i]!;
                break;
              }
          }
        }
        if (got !== want)
          return `restore at time ${t} gives state ${got}, the last at or before it is ${want}; keys ${ks.map((k) => k + ":" + s.log[k]!.k + " time " + s.log[k]!.t).join(", ")}`;
      }
    }
    return null;
  };
  const s0: World = {
    log: Array(c.N + 1).fill(null),
    H: [],
    files: Array.from({ length: Math.max(...c.files) + 1 }, () => ({ c: "", cnt: 0, life: 0, had: 0 })),
    ses: c.files.map((fi) => ({ ph: "new", fi, v: null, sent: null, up: [], ne: false })),
    fl: [],
    blocks: [],
    pr: null,
    prunes: 0,
    rs: null,
    rss: 0,
    fo: null,
    faults: 0,
    kills: 0,
    fls: 0,
    truncs: 0,
    acked: [],
    err: null,
  };
  const letter = (fi: number, life: number, i: number) =>
    String.fromCharCode((fi === 0 ? 97 + 8 * life : 65 + 8 * life) + i);
  const store = (t: World, r: ModelRecord) => {
    t.log[r.m] = r;
    if (r.m === t.H.length + 1 && r.k !== "o") {
      let L: ModelRecord | null = null;
      for (const q of t.H) if (q.k === "s" || q.k === "f") L = q;
      const me = t.ses[r.s]!.fi;
      if (L && r.ep > L.ep && t.files[me]!.had < L.m)
        t.err = `${nm(r.s)} began epoch ${r.ep} by itself over state ${L.m} "${L.hb}", which its file never had`;
      if (r.k !== "b") {
        const same = L && r.hb === L.hb && r.ep === L.ep;
        for (const [fi, g] of t.files.entries()) if (same ? g.had >= L!.m : fi === me) g.had = Math.max(g.had, r.m);
      }
    }
    if (r.m === t.H.length + 1) t.H.push(r);
    else if (r.m > t.H.length + 1) t.err = `a gap: log/${r.m} after ${t.H.length}`;
  };
  const next = (s: World): Step<World>[] => {
    const out: Step<World>[] = [];
    const add = (h: string, f: (t: World) => void) => {
      const t = clone(s);
      f(t);
      out.push([h, t]);
    };
    s.files.forEach((f, fi) => {
      const nmF = c.files.indexOf(fi);
      if (s.fls < c.flushes)
        add(`flush: one cell more at ${nm(nmF)}'s file`, (t) => {
          t.fls++;
          const g = t.files[fi]!;
          g.c += letter(fi, g.life, g.c.length);
        });
      if (s.truncs < (c.truncs ?? 0) && f.c && f.life < 2)
        add(`${nm(nmF)}'s file is truncated`, (t) => {
          t.truncs++;
          const g = t.files[fi]!;
          g.c = "";
          g.cnt++;
          g.life++;
        });
      if (
        c.copyAt &&
        fi > 0 &&
        f.c === "" &&
        f.life === 0 &&
        f.had === 0 &&
        s.H.some((r) => r.k === "s" || r.k === "f")
      )
        add(`${nm(nmF)}'s file is restored from the replica`, (t) => {
          const v = foldH(t, t.H.length);
          t.files[fi]!.c = v.c;
          t.files[fi]!.had = v.ls;
          t.files[fi]!.life = 0;
          t.files[fi]!.cnt = 0;
        });
    });
    s.ses.forEach((x, i) => {
      const N = nm(i),
        f = s.files[x.fi]!;
      const dead = x.ph === "dead" || x.ph === "fenced" || x.ph === "diverged";
      if (dead) return;
      if (s.kills < (c.kills ?? 0) && x.ph !== "new")
        add(`${N} is killed`, (t) => {
          t.kills++;
          t.ses[i] = { ph: "dead", fi: x.fi, v: null, sent: null, up: [], ne: false };
        });
      if (x.ph === "new") {
        if (i > 0 && s.ses[i - 1]!.ph === "new") return;
        const m = max(s);
        const r = m ? s.log[m]! : null;
        const from = r ? r.f : 0;
        add(`${N} lists: ${m ? `log/${m} (${d(r!)}), full ${from || "none"}` : "nothing"}`, (t) => {
          const y = t.ses[i]!;
          y.ph = "fwd";
          y.v = { ...EMPTY_VIEW, p: Math.max(0, from - 1) };
          y.ne = false;
          y.up = [];
        });
      } else if (x.ph === "fwd") {
        const n = x.v!.p + 1;
        if (n > c.N) return;
        const r = s.log[n];
        if (r) {
          if (c.pvCheck && x.v!.lu !== "-" && r.pv !== x.v!.lu) {
            add(`${N} GET log/${n}: ${d(r)}: its previous does not fit: begins again`, (t) => {
              t.ses[i]!.ph = "new";
              t.ses[i]!.v = null;
            });
            return;
          }
          const w = fold(x.v!, r);
          if (w)
            add(`${N} GET log/${n}: ${d(r)}`, (t) => {
              t.ses[i]!.v = w;
            });
          else if (c.mismatch === "corrupt")
            add(`${N} GET log/${n}: ${d(r)}`, (t) => {
              t.err = `${N} says REPLICA_CORRUPT: log/${n} does not fit what was read, nothing is corrupt`;
            });
          else
            add(`${N} GET log/${n}: ${d(r)}: does not fit: begins again`, (t) => {
              t.ses[i]!.ph = "new";
              t.ses[i]!.v = null;
            });
        } else {
          const ok = c.relist === false || max(s) === x.v!.p;
          if (!ok) {
            add(`${N} GET log/${n}: 404, lists: log/${max(s)}: begins again`, (t) => {
              t.ses[i]!.ph = "new";
              t.ses[i]!.v = null;
            });
            return;
          }
          const v = x.v!;
          const same = keptBlocks(c, f.c, v) >= 0;
          const higher = f.cnt > v.cnt && (!c.identity || v.fi === x.fi);
          if (c.openAfterCompare === false)
            add(`${N} GET log/${n}: 404, the end`, (t) => {
              t.ses[i]!.ph = "open";
              t.ses[i]!.ne = !same;
            });
          else if (same)
            add(`${N} GET log/${n}: 404, the end; its file "${f.c}" continues "${v.c}"`, (t) => {
              t.ses[i]!.ph = "open";
              t.ses[i]!.ne = false;
              t.ses[i]!.cc = f.cnt;
              // Without a state of the epoch, nothing of the file was compared.
              if (v.c !== "") t.files[x.fi]!.had = Math.max(t.files[x.fi]!.had, v.ls);
            });
          else if (higher)
            add(
              `${N} GET log/${n}: 404, the end; its file "${f.c}" differs, count ${f.cnt} > ${v.cnt}: a new epoch`,
              (t) => {
                t.ses[i]!.ph = "open";
                t.ses[i]!.ne = true;
              },
            );
          else
            add(
              `${N} GET log/${n}: 404; its file "${f.c}" (count ${f.cnt}) is not "${v.c}" (count ${v.cnt}): DIVERGED`,
              (t) => {
                t.ses[i]!.ph = "diverged";
                t.ses[i]!.v = null;
                const lo = s.H.filter((r) => r.k === "o").pop();
                if (lo && s.ses[lo.s]!.fi === x.fi && f.had > 0)
                  t.err = `DIVERGED, but the newest opening is of this very file, which was only truncated since`;
              },
            );
        }
      } else if (x.ph === "open") {
        const n = x.v!.p + 1;
        if (n > c.N) return;
        if (c.openLate && !x.sent && (f.c === "" || f.c === x.v!.c)) return;
        const v = x.v!;
        const r: ModelRecord = x.sent ?? {
          u: `${i}.${n}`,
          k: "o",
          fb: 0,
          s: i,
          m: n,
          ep: v.ep,
          n: 0,
          first: 0,
          c: "",
          b: [],
          f: v.f,
          since: [],
          pv: v.lu,
          cnt: x.ne || !c.identity ? v.cnt : x.cc!,
          fi: x.ne || !c.identity ? v.fi : x.fi,
          t: Math.max(v.t, s.fls + (c.off?.[i] ?? 0)),
          hb: "",
        };
        const there = s.log[n];
        const what = `${N} ${x.sent ? "again " : ""}PUT log/${n} (opening)`;
        const got = (t: World) => {
          const y = t.ses[i]!;
          y.sent = null;
          if (c.relist === false || max(t) === n) {
            y.ph = "live";
            y.v = fold(y.v!, r)!;
          } else {
            y.ph = "new";
            y.v = null;
          }
        };
        const msg = (m: number) => (c.relist === false || m === n ? "" : `; lists log/${m}: begins again`);
        if (there) {
          if (there.u === r.u) add(`${what}: 412, ours${msg(max(s))}`, got);
          else
            add(`${what}: 412, ${d(there)}: reads on`, (t) => {
              t.ses[i]!.ph = "fwd";
              t.ses[i]!.sent = null;
            });
        } else {
          add(`${what}: 200${msg(Math.max(n, max(s)))}`, (t) => {
            store(t, r);
            got(t);
          });
          if (s.faults < (c.faults ?? 0) && !x.sent) {
            add(`${what}: stored, the answer is lost`, (t) => {
              t.faults++;
              store(t, r);
              t.ses[i]!.sent = r;
            });
            add(`${what}: time-out, under way still`, (t) => {
              t.faults++;
              t.fl.push(r);
              t.ses[i]!.sent = r;
            });
          }
        }
      } else if (x.ph === "live") {
        const v = x.v!;
        const n = v.p + 1;
        if (n > c.N) return;
        let r: ModelRecord | null = x.sent;
        let up: string | null = null;
        const alts: ModelRecord[] = [];
        if (!r) {
          const kept = keptBlocks(c, f.c, v);
          const fits = kept >= 0;
          const ne = x.ne || !fits;
          const t0 = Math.max(v.t, s.fls + (c.off?.[i] ?? 0));
          const base = { u: `${i}.${n}`, fb: 0, s: i, m: n, pv: v.lu, fi: x.fi, t: t0 };
          if (ne && v.since.length && c.preFull !== false)
            r = {
              ...base,
              k: "f",
              ep: v.ep,
              n: v.n,
              first: 0,
              c: "",
              b: v.kb.slice(0, Math.floor(v.n / 2)),
              f: n,
              since: v.since.slice(0, -0 || undefined),
              cnt: c.preCnt === "new" ? f.cnt : v.cnt,
              fi: v.fi,
              hb: v.c,
            };
          else {
            const newEp = ne || v.ep === 0;
            const ep = newEp ? v.ep + 1 : v.ep;
            const kb = newEp ? [] : v.kb.slice(0, kept);
            const stateInEp = !newEp && v.c !== "";
            if (f.c !== "" && (newEp || f.c !== v.c)) {
              const need: string[] = [];
              for (let k = kb.length; k < Math.floor(f.c.length / 2); k++)
                need.push(`${ep}-${k}-${f.c.slice(2 * k, 2 * k + 2)}`);
              up = need.find((k) => !x.up.includes(k)) ?? null;
              const mine = need.filter((k) => x.up.includes(k));
              if (c.bl && !stateInEp && mine.length)
                alts.push({
                  ...base,
                  k: "b",
                  fb: kb.length,
                  ep,
                  n: 0,
                  first: 0,
                  c: "",
                  b: mine,
                  f: v.f,
                  since: [],
                  cnt: f.cnt,
                  hb: "",
                });
              if (!up) {
                const end = 2 * (kb.length + need.length);
                const isF = newEp || !stateInEp || n - v.f >= c.F;
                const first = Math.max(newEp ? 0 : v.n, Math.min(end, f.c.length));
                r = isF
                  ? {
                      ...base,
                      k: "f",
                      ep,
                      n: f.c.length,
                      first: 0,
                      c: "",
                      b: [...kb, ...need],
                      f: n,
                      since: newEp ? [] : v.since,
                      cnt: f.cnt,
                      hb: f.c,
                    }
                  : {
                      ...base,
                      k: "s",
                      fb: kb.length,
                      ep,
                      n: f.c.length,
                      first,
                      c: f.c.slice(first),
                      b: need,
                      f: v.f,
                      since: [],
                      cnt: f.cnt,
                      hb: f.c,
                    };
              }
            }
          }
        }
        if (up) {
          const k = up;
          add(`${N} PUT block/${k}`, (t) => {
            if (!t.blocks.includes(k)) {
              t.blocks.push(k);
              t.blocks.sort();
            }
            t.ses[i]!.up.push(k);
          });
        }
        for (const rr of [r, ...alts]) {
          if (!rr) continue;
          const what = `${N} ${x.sent ? "again " : ""}PUT log/${n} (${d(rr)}${rr.k === "f" && rr.since.length ? ", names " + rr.since.map((q) => q[0]) : ""})`;
          const there = s.log[n];
          const took = (t: World) => {
            const y = t.ses[i]!;
            y.sent = null;
            const was = y.v!;
            y.v = fold(y.v!, rr)!;
            if (rr.ep !== was.ep || rr.k !== "b") y.up = y.up.filter((k) => !rr.b.includes(k));
            if (rr.ep > was.ep) y.ne = false;
            if (rr.k !== "b") {
              if (!t.acked.includes(rr.u)) t.acked.push(rr.u);
            }
          };
          if (there) {
            if (there.u === rr.u) add(`${what}: 412, ours`, took);
            else
              add(`${what}: 412, ${d(there)}: FENCED`, (t) => {
                t.ses[i] = { ph: "fenced", fi: x.fi, v: null, sent: null, up: [], ne: false };
                if (
                  c.idleFence &&
                  there.k === "o" &&
                  s.ses[there.s]!.fi !== x.fi &&
                  s.files[s.ses[there.s]!.fi]!.c === x.v!.c &&
                  !s.H.some((h) => h.m > there.m)
                )
                  t.err = `${N} is FENCED by a copy that has nothing to add`;
                if (c.deadFence && s.ses[there.s]!.ph === "dead")
                  t.err = `${N} is FENCED by ${d(there)}, which is dead and never wrote a record`;
              });
          } else {
            add(`${what}: 200, acknowledged${n <= max(s) ? " (in a gap)" : ""}`, (t) => {
              store(t, rr);
              took(t);
            });
            if (s.faults < (c.faults ?? 0) && !x.sent) {
              add(`${what}: stored, the answer is lost`, (t) => {
                t.faults++;
                store(t, rr);
                t.ses[i]!.sent = rr;
              });
              add(`${what}: time-out, under way still`, (t) => {
                t.faults++;
                t.fl.push(rr);
                t.ses[i]!.sent = rr;
              });
            }
          }
        }
      }
    });
    s.fl.forEach((r, j) => {
      const there = s.log[r.m];
      add(
        `the late PUT log/${r.m} (${d(r)}) ${there ? "gets 412" : r.m <= max(s) ? "lands in a gap" : "lands"}`,
        (t) => {
          t.fl.splice(j, 1);
          if (!there) store(t, r);
        },
      );
    });
    // prune
    if (!s.pr) {
      if (s.prunes < (c.prunes ?? 0) && newestFull(s) > 0) {
        const m = max(s),
          F = s.log[m]!.f;
        add(`prune begins: newest log/${m}, full log/${F}`, (t) => {
          t.prunes++;
          const v = foldH(t, m);
          let ep = 0;
          for (const r of s.H) if (r.k === "s" || r.k === "f") ep = r.ep;
          t.pr = {
            ph: "rec",
            F,
            fr: [v.ep, c.frontier === "named" ? v.kb.length : Math.floor(v.n / 2)],
            ep,
            i: c.desc ? F - 1 : 1,
            g: 0,
            nm: [],
          };
        });
      }
    } else {
      const p = s.pr;
      if (c.pruneCrash && s.kills < (c.kills ?? 0))
        add("prune is killed", (t) => {
          t.kills++;
          t.pr = null;
        });
      const toBlk = (t: World) => {
        t.pr!.ph = "blk";
        const nmd = new Set<string>();
        for (const r of t.log) if (r) for (const k of r.b) nmd.add(k);
        t.pr!.nm = [...nmd].sort();
      };
      const lastOf = (q: ModelRecord) => !s.log.some((r) => r && r.k === "f" && r.ep === q.ep && r.m > q.m);
      if (p.ph === "rec") {
        let k = p.i;
        const ok = (k: number) => s.log[k] && s.log[k]!.k !== "f" && (c.pruneOpen || s.log[k]!.k !== "o");
        if (p.g)
          add(`prune deletes log/${p.g}${s.log[p.g] ? ` (${d(s.log[p.g]!)})` : ", gone already"}`, (t) => {
            t.log[p.g] = null;
            t.pr!.i = c.desc ? p.g - 1 : p.g + 1;
            t.pr!.g = 0;
          });
        else {
          while (k >= 1 && k < p.F && !ok(k)) k += c.desc ? -1 : 1;
          if (k < 1 || k >= p.F)
            add(`prune has deleted the records before log/${p.F}`, (t) => {
              t.pr!.ph = c.forget ? "full" : c.dropEp ? "ep" : "blk";
              if (t.pr!.ph === "blk") toBlk(t);
            });
          else if (c.prune2)
            add(`prune GET log/${k}: ${d(s.log[k]!)}`, (t) => {
              t.pr!.g = k;
            });
          else
            add(`prune deletes log/${k} (${d(s.log[k]!)})`, (t) => {
              t.log[k] = null;
              t.pr!.i = c.desc ? k - 1 : k + 1;
            });
        }
      } else if (p.ph === "full") {
        const q = s.log.find((r) => r && r.k === "f" && r.m < p.F && !lastOf(r));
        if (q)
          add(`prune forgets: deletes full log/${q.m}`, (t) => {
            t.log[q.m] = null;
          });
        add("prune forgets no more", (t) => {
          t.pr!.ph = c.dropEp ? "ep" : "blk";
          if (!c.dropEp) toBlk(t);
        });
      } else if (p.ph === "ep") {
        const q = s.log.find((r) => r && r.k === "f" && r.ep < p.ep);
        if (q)
          add(`prune deletes epoch ${q.ep}: log/${q.m}`, (t) => {
            t.log[q.m] = null;
          });
        else add("prune goes on to blocks", (t) => toBlk(t));
      } else {
        const v = s.blocks.find((k) => {
          const [e, b] = k.split("-").map(Number) as [number, number];
          return !p.nm.includes(k) && (e < p.fr[0] || (e === p.fr[0] && b < p.fr[1]));
        });
        if (v)
          add(`prune deletes block/${v}`, (t) => {
            t.blocks = t.blocks.filter((k) => k !== v);
          });
        else
          add("prune ends", (t) => {
            t.pr = null;
          });
      }
    }
    // restore of one state
    if (!s.rs) {
      if (s.rss < (c.restore ?? 0))
        for (const n of remaining(s).keys())
          add(`restore of state ${n} begins`, (t) => {
            t.rss++;
            t.rs = { n, ph: c.fromMiddle ? "walk" : "walk", got: [], w: n, keys: [], c: "" };
          });
    } else {
      const r = s.rs,
        n = r.n;
      const rem = remaining(s).has(n);
      if (r.ph === "walk") {
        const x = s.log[r.w];
        if (!x || (r.w === n && x.k === "o"))
          add(`restore GET log/${r.w}: ${x ? d(x) : "404"}: lists anew`, (t) => {
            t.rs!.ph = "alt";
            t.rs!.got = [];
          });
        else
          add(`restore GET log/${r.w}: ${d(x)}`, (t) => {
            const y = t.rs!;
            y.got.unshift(x);
            const f = y.got[y.got.length - 1]!.f;
            if (c.pvCheck && y.got.length > 1 && y.got[1]!.pv !== x.u) {
              y.ph = "alt";
              y.got = [];
              return;
            }
            if (r.w > Math.max(1, f)) {
              y.w--;
              return;
            }
            let v: View | null = EMPTY_VIEW;
            for (const q of y.got) {
              if (!v) break;
              v = fold(v, q);
            }
            y.got = [];
            if (!v) {
              if (c.mismatch === "corrupt")
                t.err = `restore of state ${n}: the hash of the tail is wrong: REPLICA_CORRUPT, but nothing is`;
              else y.ph = "alt";
              return;
            }
            y.ph = "blk";
            y.keys = v.kb;
            y.c = v.c;
          });
      } else if (r.ph === "alt") {
        const f = fullFor(s, n);
        if (f) {
          const len = n === f.m ? f.n : f.since.find((q) => q[0] === n)![1];
          add(`restore finds full log/${f.m}, which names ${n}`, (t) => {
            t.rs!.ph = "blk";
            t.rs!.keys = f.b.filter((_, k) => 2 * k < len);
            t.rs!.c = f.hb.slice(0, len);
          });
        } else if (n > newestFull(s) && s.log[n] && s.log[n]!.k !== "o")
          add(`restore begins again`, (t) => {
            t.rs!.ph = "walk";
            t.rs!.w = n;
          });
        else
          add(`restore of ${n}: NO_SUCH_STATE`, (t) => {
            t.rs = null;
            if (rem) t.err = `restore of state ${n}: NO_SUCH_STATE, but it is there`;
          });
      } else {
        const k = r.keys[0];
        if (!k) {
          const want = s.H[n - 1]!.hb;
          add(`restore of ${n} ends: "${r.c}"`, (t) => {
            t.rs = null;
            if (r.c !== want) t.err = `restore of state ${n} gave "${r.c}", it was "${want}"`;
          });
        } else if (s.blocks.includes(k))
          add(`restore GET block/${k}`, (t) => {
            t.rs!.keys.shift();
          });
        else
          add(`restore GET block/${k}: 404: lists anew`, (t) => {
            t.rs!.ph = "alt";
            if (rem) t.err = `restore of state ${n}: block/${k} is missing, the state remains: REPLICA_CORRUPT`;
          });
      }
    }
    // a follower
    if (c.follow) {
      if (!s.fo) {
        const m = max(s);
        if (s.H.some((r) => r.k === "s" || r.k === "f"))
          add(`the follower starts at log/${m}`, (t) => {
            t.fo = foldH(t, m);
          });
      } else {
        const v = s.fo,
          n = v.p + 1;
        const r = n <= c.N ? s.log[n] : null;
        if (r) {
          const fits = !c.pvCheck || r.pv === v.lu;
          const w = fits ? fold(v, r, c.follow === "check") : null;
          if (w)
            add(`the follower GET log/${n}: ${d(r)}`, (t) => {
              t.fo = w;
              if (r.k === "s" || r.k === "f") {
                const truth = s.H[n - 1]!.hb;
                if (w.c !== truth) t.err = `the follower's file is "${w.c}" at state ${n}, which was "${truth}"`;
              }
            });
          else
            add(`the follower GET log/${n}: does not fit: lists, restores anew`, (t) => {
              t.fo = foldH(t, max(t));
            });
        } else if (max(s) > v.p)
          add(`the follower lists (60th poll): log/${max(s)}: restores what is newer`, (t) => {
            t.fo = foldH(t, max(t));
          });
      }
    }
    return out;
  };
  let st = s0;
  for (const q of c.script ?? []) {
    const o = next(st).filter((x) => x[0].includes(q));
    if (!o.length)
      throw new Error(
        `script: ${q} in ${next(st)
          .map((x) => x[0])
          .join(" | ")}`,
      );
    st = o[0]![1];
  }
  return search(st, next, bad, c.cap ?? 500_000);
}
