// What the package is where the condition "bun" of its exports does not hold. CommonJS, so that `import` and `require`
// both get here. Nobody ever gets the names: without them `import { StorageWriter }` would fail on their absence first.
"use strict";
const runtime = typeof Deno === "object" ? "Deno" : `Node.js ${process.version}`;
throw new Error(`cellar needs Bun 1.4.0 or newer, got ${runtime}: it calls the C library through bun:ffi, see bun.com`);
exports.Storage = exports.StorageError = exports.StorageReader = exports.StorageWriter = undefined;
exports.check = exports.recover = exports.makeWriterKey = exports.nullStorage = undefined;
