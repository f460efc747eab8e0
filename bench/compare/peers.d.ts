/** What the benchmark uses of its peers, so that types can be checked in a clone where they are not installed. */

declare module "lmdb" {
  interface Options {
    readonly path: string;
    readonly encoding: "binary";
    readonly keyEncoding: "uint32";
    readonly compression: boolean;
    readonly mapSize: number;
    readonly noSync: boolean;
    readonly overlappingSync: boolean;
  }
  interface Database<V, K> {
    readonly flushed: Promise<unknown>;
    put(key: K, value: V): Promise<boolean>;
    putSync(key: K, value: V, options?: { readonly append: boolean }): boolean;
    transactionSync<T>(action: () => T): T;
    getBinary(key: K): Buffer | undefined;
    getBinaryFast(key: K): Buffer | undefined;
    resetReadTxn(): void;
    close(): Promise<void>;
  }
  export function open<V, K>(options: Options): Database<V, K>;
}

declare module "classic-level" {
  interface Options {
    readonly keyEncoding: "view";
    readonly valueEncoding: "view";
    readonly compression: boolean;
    readonly writeBufferSize: number;
  }
  interface Batch<K, V> {
    put(key: K, value: V): this;
    write(): Promise<void>;
  }
  export class ClassicLevel<K, V> {
    constructor(path: string, options: Options);
    open(): Promise<void>;
    close(): Promise<void>;
    batch(): Batch<K, V>;
    put(key: K, value: V, options?: { readonly sync: boolean }): Promise<void>;
    getSync(key: K): V | undefined;
    compactRange(from: K, to: K): Promise<void>;
  }
}
