/**
 * Bad input of every kind: a typed error with its details, in a writer, a reader and in memory.
 * The tests stand in fixtures/bad-input.
 */

import { describe } from "bun:test";
import { argumentTests } from "./fixtures/bad-input/arguments.ts";
import { closedTests } from "./fixtures/bad-input/closed.ts";
import { footerTests } from "./fixtures/bad-input/footers.ts";
import { openingTests } from "./fixtures/bad-input/openings.ts";
import { overflowTests } from "./fixtures/bad-input/overflow.ts";
import { useFolder } from "./support/folder.ts";

const fresh = useFolder({ spoilt: true });

describe("opening", () => openingTests(fresh));
describe("arguments", () => argumentTests(fresh));
describe("footers", () => footerTests(fresh));
describe("the end of the index space", () => overflowTests(fresh));
describe("closed", () => closedTests(fresh));
