// Loaded instead of the package on runtimes without the export condition "bun". It is CommonJS, so that `import` and
// `require` both load it. The names are never read: without them `import { StorageWriter }` would first fail on a name.
"use strict";
const runtime = typeof Deno === "object" ? "Deno" : `Node.js ${process.version}`;
throw new Error(`cellar needs Bun 1.4.0 or newer, got ${runtime}: it calls the C library through bun:ffi, see bun.com`);
exports.Storage = exports.StorageError = exports.StorageReader = exports.StorageWriter = undefined;
exports.check = exports.recover = exports.makeWriterKey = exports.nullStorage = undefined;
