/**
 * Run as a program: does `nothing`, imports the library, or imports it and opens a storage; then prints the variables
 * of the environment that the library's own code has read.
 */

const source = new URL("../../../src", import.meta.url).pathname;
const reads: string[] = [];
const note = (name: string | symbol): void => {
  if (new Error().stack?.includes(source)) reads.push(String(name));
};

process.env = new Proxy(process.env, {
  get(target, name, receiver): unknown {
    note(name);
    return Reflect.get(target, name, receiver);
  },
  has(target, name): boolean {
    note(name);
    return Reflect.has(target, name);
  },
  ownKeys(target): ArrayLike<string | symbol> {
    note("all");
    return Reflect.ownKeys(target);
  },
});

const action = process.argv[2];
if (action !== "nothing") {
  const { StorageWriter } = await import("../../../src/index.ts");
  if (action === "open") StorageWriter.inMemory().close();
}
process.stdout.write(JSON.stringify(reads));

export {};
