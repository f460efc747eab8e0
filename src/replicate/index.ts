/** Replication: to object storage and back. Nothing of it is loaded by `cellar` itself. */

export type {
  CallOptions,
  Credentials,
  GetOptions,
  ListOptions,
  ObjectStore,
  PutOptions,
  StoreOptions,
} from "./store/store.ts";
export { openStore } from "./store/open.ts";
