/**
 * Bad input of every kind: a typed error with its details, in a writer, a reader and in memory.
 * The tests stand in fixtures/bad-input.
 */

import { describe } from "bun:test";
import { argumentTests } from "./bad-input/arguments.ts";
import { closedTests } from "./bad-input/closed.ts";
import { footerTests } from "./bad-input/footers.ts";
import { openingTests } from "./bad-input/openings.ts";
import { overflowTests } from "./bad-input/overflow.ts";
import { useFolder } from "../support/folder.ts";

const fresh = useFolder({ spoiled: true });

describe("opening", () => openingTests(fresh));
describe("arguments", () => argumentTests(fresh));
describe("footers", () => footerTests(fresh));
describe("the end of the index space", () => overflowTests(fresh));
describe("closed", () => closedTests(fresh));
