/** The signer against what AWS has published: its test suite for Signature Version 4, and the examples of the S3 manual. */

import { describe, expect, test } from "bun:test";
import {
  authorization,
  encodeUri,
  sha256,
  timestamp,
  type UnsignedRequest,
} from "../../../src/replicate/store/sign.ts";

const EMPTY = sha256("");

function signatureOf(header: string): string {
  return /Signature=([0-9a-f]{64})$/.exec(header)?.[1] ?? header;
}

describe("aws-sig-v4-test-suite", () => {
  const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" };
  const time = new Date("2015-08-30T12:36:00Z");
  const scope = { time, region: "us-east-1", service: "service" };
  const headers = { host: "example.amazonaws.com", "x-amz-date": "20150830T123600Z" };
  const vanilla: UnsignedRequest = { method: "GET", path: "/", query: [], headers, bodyHash: EMPTY };
  const sign = (request: Partial<UnsignedRequest>): string =>
    authorization({ ...vanilla, ...request }, credentials, scope);

  test.each<[name: string, request: Partial<UnsignedRequest>, signature: string]>([
    ["get-vanilla", {}, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"],
    ["post-vanilla", { method: "POST" }, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"],
    [
      "get-vanilla-query-order-key-case",
      {
        query: [
          ["Param2", "value2"],
          ["Param1", "value1"],
        ],
      },
      "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ],
    [
      "get-vanilla-query-order-value",
      {
        query: [
          ["Param1", "value2"],
          ["Param1", "value1"],
        ],
      },
      "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
    ],
    ["get-utf8", { path: `/${encodeUri("ሴ")}` }, "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"],
    [
      "get-header-value-trim",
      { headers: { ...headers, "my-header1": " value1", "my-header2": ' "a   b   c"' } },
      "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ],
    [
      "post-x-www-form-urlencoded",
      {
        method: "POST",
        headers: { ...headers, "content-type": "application/x-www-form-urlencoded" },
        bodyHash: sha256("Param1=value1"),
      },
      "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ],
    [
      "post-sts-header-before",
      {
        method: "POST",
        headers: {
          ...headers,
          "x-amz-security-token":
            "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==",
        },
      },
      "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    ],
  ])("%s", (_name, request, signature) => {
    expect(signatureOf(sign(request))).toBe(signature);
  });

  test("the header of get-vanilla, whole", () => {
    expect(sign({})).toBe(
      "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    );
    expect(timestamp(time)).toBe("20150830T123600Z");
  });
});

describe("the examples of the S3 manual", () => {
  const time = new Date("2013-05-24T00:00:00Z");
  // Not the key of the suite: it has another slash.
  const secretAccessKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
  const credentials = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey };
  const sign = (request: Omit<UnsignedRequest, "headers">, headers: Record<string, string> = {}): string => {
    const all = {
      host: "examplebucket.s3.amazonaws.com",
      "x-amz-content-sha256": request.bodyHash,
      "x-amz-date": timestamp(time),
      ...headers,
    };
    return signatureOf(
      authorization({ ...request, headers: all }, credentials, { time, region: "us-east-1", service: "s3" }),
    );
  };

  test("GET Object, a range", () => {
    const request = { method: "GET", path: "/test.txt", query: [], bodyHash: EMPTY };
    expect(sign(request, { range: "bytes=0-9" })).toBe(
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
  });

  test("PUT Object, with a key that is encoded", () => {
    const bodyHash = sha256("Welcome to Amazon S3.");
    const request = { method: "PUT", path: `/${encodeUri("test$file.text")}`, query: [], bodyHash };
    const headers = { date: "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY" };
    expect(sign(request, headers)).toBe("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  });

  test("GET Bucket Lifecycle", () => {
    const request = { method: "GET", path: "/", query: [["lifecycle", ""]] as const, bodyHash: EMPTY };
    expect(sign(request)).toBe("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  });

  test("GET Bucket, a listing", () => {
    const query = [
      ["prefix", "J"],
      ["max-keys", "2"],
    ] as const;
    const request = { method: "GET", path: "/", query, bodyHash: EMPTY };
    expect(sign(request)).toBe("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
  });
});
