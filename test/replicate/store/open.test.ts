/** From targets, options and the environment to a store, or to an error that says what was expected. */

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { openStore } from "../../../src/replicate/index.ts";
import { bucketUrl, s3Target } from "../../../src/replicate/store/s3-target.ts";
import type { StoreOptions } from "../../../src/replicate/store/store.ts";
import { S3Server } from "../s3-server.ts";

const keys = { accessKeyId: "id", secretAccessKey: "secret" };
const VARIABLES = /^(S3|AWS)_/;
let environment: NodeJS.ProcessEnv;
beforeEach(() => {
  environment = { ...process.env };
  for (const name of Object.keys(process.env)) if (VARIABLES.test(name)) delete process.env[name];
});
afterEach(() => {
  for (const name of Object.keys(process.env)) if (VARIABLES.test(name)) delete process.env[name];
  Object.assign(process.env, environment);
});

/** The URL of an object's bucket, and what stands before its key. */
function placeOf(target: string, options: StoreOptions = {}): string {
  const found = s3Target(target, options);
  return `${bucketUrl(found, found.region ?? "?")} ${found.prefix}`;
}

describe("a folder", () => {
  test.each([
    ["some/folder", resolve("some/folder")],
    ["/a/b/", "/a/b"],
    ["file:///a/b%20c", "/a/b c"],
    [pathToFileURL("/a/ü"), "/a/ü"],
    ["c:folder", resolve("c:folder")],
  ] as const)("%s", (target, path) => {
    expect(openStore(target).url).toBe(pathToFileURL(path).href);
  });
});

describe("a bucket", () => {
  test.each<[target: string, options: StoreOptions, place: string]>([
    ["s3://bucket", { region: "eu-west-1" }, "https://bucket.s3.eu-west-1.amazonaws.com "],
    ["s3://bucket/", { region: "eu-west-1" }, "https://bucket.s3.eu-west-1.amazonaws.com "],
    ["s3://bucket/a/b/", { region: "cn-north-1" }, "https://bucket.s3.cn-north-1.amazonaws.com.cn a/b/"],
    ["s3://with.dot/a", { region: "eu-west-1" }, "https://s3.eu-west-1.amazonaws.com/with.dot a/"],
    ["s3://bucket/a", { endpoint: "localhost:9000", region: "x" }, "https://localhost:9000/bucket a/"],
    ["s3://bucket/a", { endpoint: "http://[::1]:9000/", region: "x" }, "http://[::1]:9000/bucket a/"],
    ["s3://bucket/a", { endpoint: "https://host/storage/v1/s3/", region: "x" }, "https://host/storage/v1/s3/bucket a/"],
    [
      "S3://Bucket_1/A%20b",
      { endpoint: "https://s3.eu-west-3.amazonaws.com" },
      "https://s3.eu-west-3.amazonaws.com/Bucket_1 A%20b/",
    ],
  ])("%s %j", (target, options, place) => {
    expect(placeOf(target, options)).toBe(place);
    expect(openStore(target, { ...options, ...keys }).url).toBe(target.replace("S3:", "s3:").replace(/\/*$/, "/"));
  });

  test("of a region that is a name only", () => {
    for (const region of ["evil.example/", "", "A", "a b"])
      expect(() => openStore("s3://bucket", { ...keys, region })).toThrow(TypeError);
  });

  test.each([
    ["s3://", TypeError, "bucket"],
    ["s3:///a", TypeError, "bucket"],
    ["s3:/bucket/a", TypeError, "bucket"],
    ["s3://b c/a", TypeError, "bucket"],
    ["s3://id:very-secret@bucket/a", TypeError, "credentials belong"],
    ["s3://bucket/a//b", TypeError, "empty names"],
    ["s3://bucket/../b", TypeError, "empty names"],
    ["s3://bucket/a\nb", TypeError, "empty names"],
    ["s3://bucket--usw2-az1--x-s3/a", Error, "directory bucket"],
    ["https://bucket.example/a", Error, "unknown kind of target"],
    ["", TypeError, "a path or a URL"],
    ["a\0b", TypeError, "a path or a URL"],
  ] as const)("is not %j", (target, kind, says) => {
    const open = (): unknown => openStore(target, keys);
    expect(open).toThrow(kind);
    expect(open).toThrow(says);
    expect(open).not.toThrow("very-secret");
  });

  test.each<[options: Record<string, unknown>, says: string]>([
    [{ endpoint: "ftp://host" }, "endpoint"],
    [{ endpoint: "https://id:very-secret@host" }, "endpoint"],
    [{ endpoint: "https://host?x" }, "endpoint"],
    [{ endpoint: 5 }, "endpoint"],
    [{ timeoutMs: 0 }, "timeoutMs"],
    [{ timeoutMs: Infinity }, "timeoutMs"],
    [{ timeoutMs: "60" }, "timeoutMs"],
    [{ secretAccessKey: undefined }, "secretAccessKey"],
    [{ secretAccessKey: "with a\nbreak" }, "secretAccessKey"],
    [{ sessionToken: 5 }, "secretAccessKey"],
    [{ credentials: "id" }, "credentials"],
  ])("has no %j", (options, says) => {
    const open = (): unknown => openStore("s3://bucket", { ...keys, ...options } as StoreOptions);
    expect(open).toThrow(TypeError);
    expect(open).toThrow(says);
    expect(open).not.toThrow("very-secret");
  });

  test("needs credentials", () => {
    expect(() => openStore("s3://bucket")).toThrow("set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY");
    process.env["S3_ACCESS_KEY_ID"] = "id";
    process.env["AWS_SECRET_ACCESS_KEY"] = "secret of another family";
    expect(() => openStore("s3://bucket")).toThrow("no credentials for S3");
  });
});

describe("the environment", () => {
  test.each([["S3"], ["AWS"]])("has the credentials as %s_…, with their token", async (family) => {
    await using server = await S3Server.start();
    server.sessionToken = "token";
    process.env[`${family}_ACCESS_KEY_ID`] = server.accessKeyId;
    process.env[`${family}_SECRET_ACCESS_KEY`] = server.secretAccessKey;
    process.env[`${family}_SESSION_TOKEN`] = server.sessionToken;
    process.env["AWS_ENDPOINT_URL"] = server.endpoint;
    process.env["AWS_REGION"] = server.region = "mars-1";
    expect(await openStore(`s3://${server.bucket}`).put("replica", new Uint8Array(1))).toBe("created");
  });

  test("comes after the options, and S3_… before AWS_…", () => {
    process.env["AWS_ENDPOINT_URL"] = "https://aws";
    process.env["AWS_REGION"] = "aws";
    expect(s3Target("s3://bucket", {})).toMatchObject({ endpoint: new URL("https://aws"), region: "aws" });
    process.env["S3_ENDPOINT"] = "https://s3";
    process.env["S3_REGION"] = "s3";
    expect(s3Target("s3://bucket", {})).toMatchObject({ endpoint: new URL("https://s3"), region: "s3" });
    const options = { endpoint: "https://option", region: "option" };
    expect(s3Target("s3://bucket", options)).toMatchObject({ endpoint: new URL("https://option"), region: "option" });
  });
});

test("opening reads and sends nothing", async () => {
  await using server = await S3Server.start();
  openStore("s3://bucket", server.options);
  openStore(join("/no/such", "folder"));
  expect(server.seen).toEqual([]);
});
