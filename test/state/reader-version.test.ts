/** The application's version, which is changed in place: a reader shows it after its next refresh. */

import { describe, expect, test } from "bun:test";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { useFolder } from "../support/folder.ts";

const fresh = useFolder({ inMemory: true });

describe.each(["flushes", "commits"] as const)("a reader of %s", (follow) => {
  test("shows another version after refresh, and not before", () => {
    const path = fresh();
    using writer = StorageWriter.create(path, { version: 1, headString: "app" });
    using reader = StorageReader.open(path, { follow });
    writer.overrideVersion(2 ** 32 - 1);
    expect(reader.config.version).toBe(1);
    // No other state: only the version is new.
    expect(reader.refresh()).toBe(false);
    expect(reader.config).toEqual({ headString: "app", version: 2 ** 32 - 1, bytesPerCell: 32, maxIndex: 2 ** 32 - 1 });
    writer.overrideVersion(8);
    writer.root = writer.write(new Uint8Array(2));
    writer.flushSync();
    expect(reader.refresh()).toBe(true);
    expect([reader.config.version, reader.root]).toEqual([8, writer.root]);
    expect(reader.refresh()).toBe(false);
  });
});
