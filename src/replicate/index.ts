/** Replication to object storage, and back. Importing `cellar` does not load it. */

export { follow, type FollowOptions } from "./follow.ts";
export type { ReplicaState } from "./history.ts";
export { prune, type PruneOptions, type PruneResult } from "./prune.ts";
export { replicate, type ReplicateOptions, type Replicator, type ReplicatorStats } from "./replicator.ts";
export { restore, type RestoreOptions, type RestoreProgress } from "./restore.ts";
export { states, type StatesOptions } from "./states.ts";
export { type ReplicaStatus, status } from "./status.ts";
export { openStore } from "./store/open.ts";
export type {
  CallOptions,
  Credentials,
  GetOptions,
  ListOptions,
  ObjectStore,
  PutOptions,
  StoreOptions,
} from "./store/store.ts";
export type { Target } from "./store/open.ts";
export { verify, type VerifyOptions } from "./verify.ts";
