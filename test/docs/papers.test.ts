/** The documents agree with the source: links work, architecture.md has every file, pictures show the layout. */

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { FILE } from "../../src/format/layout.ts";
import { paper, papers, root } from "../support/papers.ts";

/** A document without its code, in which brackets have another meaning. */
function prose(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, "").replace(/`[^`\n]*`/g, (code) => code.replace(/[[\]()]/g, " "));
}

/** The anchors that GitHub makes of the headings. */
function anchorsOf(text: string): string[] {
  const headings = [...text.replace(/^```[\s\S]*?^```$/gm, "").matchAll(/^#+ (.*)$/gm)].map(
    ([, heading = ""]) => heading,
  );
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-"),
  );
}

/** Where the links of a paper lead that stay in the repository, pictures too. */
function linksOf(text: string): string[] {
  const targets = [...prose(text).matchAll(/\]\(([^)\s]+)\)/g), ...text.matchAll(/(?:src|srcset|href)="([^"]+)"/g)];
  return targets.map(([, target = ""]) => target).filter((target) => !/^[a-z]+:/.test(target));
}

/** What is wrong with a link, or null. */
function fault(from: string, link: string): string | null {
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? from : relative(root, join(root, dirname(from), path));
  if (!existsSync(join(root, target))) return `${from}: ${link}: there is no ${target}`;
  if (anchor === undefined || anchorsOf(papers.get(target) ?? "").includes(anchor)) return null;
  return `${from}: ${link}: no heading of ${target} makes this anchor`;
}

describe("links", () => {
  test.each([...papers.keys()])("of %s lead to existing files and headings", (name) => {
    expect(linksOf(paper(name)).flatMap((link) => fault(name, link) ?? [])).toEqual([]);
  });

  test("are found, and broken links are reported", () => {
    expect([...papers.keys()].flatMap((name) => linksOf(paper(name))).length).toBeGreaterThan(30);
    for (const link of ["docs/no-such.md", "docs/format.md#no-such-heading", "#no-such-heading"]) {
      expect(linksOf(`see [that](${link})`)).toEqual([link]);
      expect(fault("README.md", link)).toContain(link);
    }
    expect(fault("docs/cli.md", "format.md#what-may-change")).toBeNull();
  });

  test("lead from the README to every document", () => {
    const reached = linksOf(paper("README.md")).map((link) => link.split("#")[0]);
    expect([...papers.keys()].filter((name) => name !== "README.md" && !reached.includes(name))).toEqual([]);
  });

  test("of the contents of the guide are its headings, in order", () => {
    const contents = [...paper("docs/guide.md").matchAll(/^- \[[^\]]+\]\(#([^)]+)\)$/gm)].map(([, anchor]) => anchor);
    expect(contents).toEqual(anchorsOf(paper("docs/guide.md")).slice(1));
  });
});

describe("docs/architecture.md", () => {
  const text = paper("docs/architecture.md");
  /** The first cells of the tables under a heading, without their quotes. */
  const entriesUnder = (heading: string): string[] => {
    const section = text.split(`${heading}\n`)[1]?.split(/\n#+ /)[0] ?? "";
    return [...section.matchAll(/^\| `([^`]+)`/gm)].map(([, entry = ""]) => entry);
  };

  test("has a line for every file of src/, under its folder", () => {
    const folders = [...text.matchAll(/^### (src\/.*)$/gm)].map(([, folder = ""]) => folder);
    const entered = folders.flatMap((folder) => entriesUnder(`### ${folder}`).map((name) => join(folder, name)));
    const files = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true }).filter((one) =>
      one.isFile(),
    );
    const names = files.map((one) => relative(root, join(one.parentPath, one.name)));
    const missing = names.filter((name) => !entered.includes(name));
    expect({ missing, gone: entered.filter((name) => !names.includes(name)) }).toEqual({ missing: [], gone: [] });
    expect(entered).toHaveLength(names.length);
  });

  test("names the methods of the seam, and their number", () => {
    const source = readFileSync(join(root, "src/region/region.ts"), "utf8");
    const methodsOf = (name: string): string[] => {
      const body = new RegExp(`interface ${name}\\b[^{]*\\{([\\s\\S]*?)\\n\\}`).exec(source)?.[1] ?? "";
      return [...body.matchAll(/^ {2}(\w+)\(/gm)].map(([, method = ""]) => method);
    };
    const methods = ["CellMemory", "Region", "RepairableRegion", "WritableRegion"].flatMap(methodsOf);
    expect(entriesUnder("## The seam").sort()).toEqual(methods.sort());
    expect(entriesUnder("## The seam")).toHaveLength(10);
  });

  test("names existing files only", () => {
    const named = [...text.matchAll(/`((?:[\w-]+\/)*[\w-]+\.(?:ts|cjs))`/g)].map(([, name = ""]) => name);
    const isThere = (name: string): boolean => ["", "src"].some((folder) => existsSync(join(root, folder, name)));
    const fileNames = new Set(
      readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).map((name) => name.split("/").at(-1)),
    );
    expect(named.filter((name) => !isThere(name) && !fileNames.has(name))).toEqual([]);
  });
});

describe("pictures", () => {
  const pictures = readdirSync(join(root, "docs/images"));
  const picture = (name: string): string => readFileSync(join(root, "docs/images", name), "utf8");

  test.each(pictures)("%s is drawn for light and dark pages, says what it shows, and is shown", (name) => {
    expect(picture(name)).toContain("prefers-color-scheme: dark");
    expect(picture(name)).toMatch(/aria-label(ledby)?="/);
    expect(
      [...papers].filter(([paperName, text]) =>
        linksOf(text).some((link) => join(dirname(paperName), link) === `docs/images/${name}`),
      ),
    ).not.toBeEmpty();
  });

  test("of the file shows the places of the layout", () => {
    const offsets = [...picture("file.svg").matchAll(/class="offset"[^>]*>(\d+)</g)].map(([, offset]) =>
      Number(offset),
    );
    expect(offsets).toEqual(Object.values(FILE).map(({ offset }) => offset));
  });
});
