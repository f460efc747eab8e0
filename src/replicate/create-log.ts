/** The log for a session that writes: made if there is none, in a store that was seen to fence. */

import { REPLICA_KEY } from "./keys.ts";
import { BLOCK_BYTES, decodeReplica, encodeReplica, Log, rereading } from "./log.ts";
import { checkFencing } from "./store/fencing.ts";
import type { ObjectStore } from "./store/store.ts";

const ID_BYTES = 16;

/** @throws FENCING_UNSUPPORTED; REPLICA_CORRUPT; UNSUPPORTED a newer format; as the store throws */
export async function createLog(store: ObjectStore, blockBytes: number = BLOCK_BYTES): Promise<Log> {
  const id = crypto.getRandomValues(new Uint8Array(ID_BYTES)).toHex();
  const object = await checkFencing(store, REPLICA_KEY, encodeReplica({ id, blockBytes }));
  return rereading(store.url, async () => new Log(store, decodeReplica(object, store.url)));
}
