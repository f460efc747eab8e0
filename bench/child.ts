/** One run of one contestant, in a process of its own: `bun child.ts ROW CONTESTANT quick|full FOLDER`, answers JSON. */

import { workloads } from "./workloads/index.ts";

const [row, contestant = "", size, folder = ""] = process.argv.slice(2);
const found = workloads.find(({ name }) => name === row);
if (found === undefined) throw new Error(`there is no row ${row}`);
const measured = await found.run(contestant, size === "quick", folder);
process.stdout.write(`${JSON.stringify(measured)}\n`);
