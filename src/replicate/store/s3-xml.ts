/** Parses the two XML documents of S3 that replication reads. In any other text it finds no code and no listing. */

export interface S3Fault {
  readonly code: string | null;
  readonly message: string | null;
  /** The region of the bucket, which some errors name. */
  readonly region: string | null;
}

export interface S3Listing {
  readonly keys: readonly string[];
  readonly isTruncated: boolean;
  readonly continuation: string | null;
}

/** Parses the error in an answer's body. */
export function parseFault(text: string): S3Fault {
  const body = document(text, "Error") ?? "";
  return { code: element(body, "Code"), message: element(body, "Message"), region: element(body, "Region") };
}

/** A page of a listing, or null. */
export function parseListing(text: string): S3Listing | null {
  const body = document(text, "ListBucketResult");
  if (body === null) return null;
  const contents = body.split("<Contents>").slice(1);
  const keys = contents.map((entry) => element(entry.split("</Contents>", 1)[0] ?? "", "Key"));
  if (keys.includes(null)) return null;
  return {
    keys: keys.filter((key) => key !== null),
    isTruncated: element(body, "IsTruncated") === "true",
    continuation: element(body, "NextContinuationToken"),
  };
}

/**
 * Returns the content of the outermost element. It takes linear time for any input from a server; a regular expression
 * would not.
 */
function document(text: string, name: string): string | null {
  const start = text.indexOf(">", text.indexOf(`<${name}`));
  const end = text.lastIndexOf(`</${name}>`);
  return text.includes(`<${name}`) && start < end ? text.slice(start + 1, end) : null;
}

function element(body: string, name: string): string | null {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(body)?.[1];
  return text === undefined ? null : unescape(text);
}

const NAMED: ReadonlyMap<string, string> = new Map(
  Object.entries({ amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }),
);

function unescape(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(\w+));/gi, (whole, hex, decimal, name) => {
    if (name !== undefined) return NAMED.get(name) ?? whole;
    const point = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
}
