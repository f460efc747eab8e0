/**
 * Cellar: a file of fixed-size cells, mapped into memory; one process writes, many read. Importing this does nothing:
 * the C library is loaded at the first open.
 */

export { check, type Finding } from "./offline/check.ts";
export { recover, type RecoverOptions, type RecoveryReport } from "./offline/recover.ts";
export type { CopyOptions, CopyProgress } from "./copy.ts";
export { type ErrorCode, type ErrorDetails, StorageError } from "./error.ts";
export type { StorageConfig } from "./format/config.ts";
export { makeWriterKey } from "./key.ts";
export { nullStorage } from "./null-storage.ts";
export type { CreateOptions, OpenReaderOptions, OpenWriterOptions, PartOptions, WriteOptions } from "./options.ts";
export type { StorageState } from "./state/snapshot.ts";
export { StorageReader } from "./reader.ts";
export { Storage } from "./storage.ts";
export type { ReaderStats, StorageStats, WriterStats } from "./stats.ts";
export type { Follows } from "./state/visible.ts";
export type { FlushStats } from "./state/metrics.ts";
export type { Recovery } from "./state/choose-state.ts";
export type { WatchOptions } from "./watch.ts";
export type { ByteSource, WriteStreamOptions } from "./write-stream.ts";
export { StorageWriter } from "./writer.ts";
