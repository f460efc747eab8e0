/**
 * How fast the S3 store sends blocks to Ceph's gateway, against a bare loop of `fetch` that neither hashes nor signs the
 * bodies. Both take turns, on the same server: `bun test/replicate/servers/throughput.ts [rounds]` prints each pair, in
 * MiB/s. The server is slower for the one that comes first, so each is first in every other round; the ratio of two such
 * rounds is the geometric mean, and the median of those is printed.
 */

import { openStore } from "../../../src/replicate/index.ts";
import { authorization, timestamp } from "../../../src/replicate/store/sign.ts";
import type { ObjectStore } from "../../../src/replicate/store/store.ts";
import { startCeph } from "./ceph.ts";

const MIB = 1024 * 1024;
const BLOCK_BYTES = 16 * MIB;
const AT_ONCE = 4;
const BLOCKS = 12;
const UNSIGNED = "UNSIGNED-PAYLOAD";

using ceph = await startCeph();
const { access, bucket } = ceph;
const body = new Uint8Array(BLOCK_BYTES).map((_, i) => Math.imul(i, 2654435761) >>> 24);
const stores = { store: openStore(`s3://${bucket}/store`, access), bare: openStore(`s3://${bucket}/bare`, access) };

async function putBare(key: string): Promise<void> {
  const url = new URL(`${access.endpoint}/${bucket}/bare/${key}`);
  const time = new Date();
  const headers = { host: url.host, "x-amz-content-sha256": UNSIGNED, "x-amz-date": timestamp(time) };
  const request = { method: "PUT", path: url.pathname, query: [], headers, bodyHash: UNSIGNED };
  const signed = authorization(request, access, { time, region: access.region, service: "s3" });
  const { status } = await fetch(url, { method: "PUT", body, headers: { ...headers, authorization: signed } });
  if (status !== 200) throw new Error(`PUT ${key}: ${status}`);
}

/** The MiB/s of some blocks, four at once, which are deleted afterwards. */
async function rateOf(put: (key: string) => Promise<unknown>, store: ObjectStore): Promise<number> {
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < BLOCKS) await put(`block/${next++}`);
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  const seconds = (performance.now() - started) / 1000;
  for (const key of await store.list("")) await store.delete(key);
  return (BLOCKS * BLOCK_BYTES) / MIB / seconds;
}

const bare = (): Promise<number> => rateOf(putBare, stores.bare);
const ours = (): Promise<number> => rateOf((key) => stores.store.put(key, body), stores.store);
const rounds = Number(process.argv[2] ?? 10);
const ratios: number[] = [];
await bare();
await ours();
for (let round = 0; round < rounds; round++) {
  const [first, second] = round % 2 === 0 ? [await bare(), await ours()] : [await ours(), await bare()];
  const [bareRate, ourRate] = round % 2 === 0 ? [first, second] : [second, first];
  ratios.push(ourRate / bareRate);
  console.log(`bare ${bareRate.toFixed(0)}, store ${ourRate.toFixed(0)}`);
}
const balanced: number[] = [];
for (let i = 0; i + 1 < ratios.length; i += 2) balanced.push(Math.sqrt((ratios[i] ?? NaN) * (ratios[i + 1] ?? NaN)));
balanced.sort((a, b) => a - b);
console.log(`median ratio ${(balanced[balanced.length >> 1] ?? NaN).toFixed(2)}`);
