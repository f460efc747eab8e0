/** Before every test file: a test that spawns processes, on a machine that is busy, may take a while. */

import { setDefaultTimeout } from "bun:test";

setDefaultTimeout(60_000);
