/** `cellar put`: stores a file, or standard input, as a blob. */

import * as fs from "node:fs";
import { promisify } from "node:util";
import { printable, StorageError } from "../error.ts";
import type { OpenWriterOptions } from "../options.ts";
import { identityOf } from "../os/file.ts";
import { StorageWriter } from "../writer.ts";
import { command, type Command } from "./command.ts";
import { CommandError, OK } from "./failure.ts";
import { numberOption, openingOptions } from "./opening.ts";
import { print, printJson, printToStderr } from "./output.ts";
import { recoveryText } from "./recovery-text.ts";

/** Bytes of one read; the library cuts them into chunks. */
const PIECE_BYTES = 1024 * 1024;
const STDIN = 0;

const read = promisify(fs.read);

/** Prints the index after the flush, so that every printed blob survives a power cut. */
export const put: Command = command({
  name: "put",
  summary: "Stores a file, or standard input, as a blob; prints its index",
  positionals: [
    ["PATH", "the storage's file"],
    ["FILE", "the file to store; - is standard input, from its current position"],
  ],
  options: {
    root: { help: "make the blob the root; without it the root does not change" },
    create: { help: "create the storage if there is none; without it that is an error" },
    "lock-timeout-ms": { value: "MS", help: "how long to wait while another process writes; default: 0" },
    ...openingOptions,
  },
  notes:
    "The index is printed when the blob is durable. The writer's lock is held until the input ends. If the input fails, or Ctrl-C ends the command, the root does not change; a storage created by --create stays, empty. If the last writer was killed, the storage is recovered first, with a message.",
  examples: ["cellar put data.cellar picture.png --root", "tar c src | cellar put data.cellar - --create"],
  run: async ({ positionals: [path = "", name = ""], values, json }) => {
    // Open the input before the storage, so that an unreadable input neither creates a file nor recovers one.
    const source = openSource(name, path);
    const options: OpenWriterOptions = {
      allowUnsafeFilesystem: values["allow-unsafe-filesystem"],
      lockTimeoutMs: numberOption(values, "lock-timeout-ms"),
    };
    using writer = values.create === true ? StorageWriter.openOrCreate(path, options) : openExisting(path, options);
    if (writer.recovery.state !== "clean")
      await printToStderr(`${printable(path)}: recovered ${recoveryText(writer.recovery)}`);
    const index = await writer.writeStream(source);
    if (values.root === true) writer.root = index;
    const byteLength = writer.blobLength(index);
    const { root, length } = await writer.flush();
    writer.close();
    try {
      await (json ? printJson({ path, index, byteLength, root, length }) : print(String(index)));
    } catch (error) {
      throw withIndex(error, path, index);
    }
    return OK;
  },
});

function openExisting(path: string, options: OpenWriterOptions): StorageWriter {
  try {
    return StorageWriter.open(path, options);
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== "NO_SUCH_FILE") throw error;
    throw new CommandError(
      error.code,
      `${path}: there is no such file: check the path, or add --create to make it`,
      error,
    );
  }
}

/** Names the index in an error of printing it: the blob is stored, and its index must not be lost. */
function withIndex(error: unknown, path: string, index: number): unknown {
  if (!(error instanceof CommandError)) return error;
  return new CommandError(error.code, `${path}: the blob is stored, at index ${index}, but ${error.message}`, error);
}

/** Opens the input. It is read when the storage asks for bytes. */
function openSource(path: string, storagePath: string): AsyncIterable<Uint8Array> {
  const isStdin = path === "-";
  const name = isStdin ? "standard input" : path;
  const fd = isStdin ? STDIN : reading(name, () => fs.openSync(path, fs.constants.O_RDONLY));
  const stat = reading(name, () => fs.fstatSync(fd));
  if (stat.isDirectory()) throw new CommandError("INPUT", `${name}: is a directory: name a file`);
  // A storage as its own input would never end, because each write makes it longer.
  if (fs.existsSync(storagePath) && identityOf(fd) === identityOf(storagePath)) {
    throw new CommandError("INPUT", `${name}: is the storage itself: name another file, or use cellar copy`);
  }
  // Read a file by its descriptor: Bun's stream would ignore the position and start at the beginning. Read a pipe or a
  // terminal by Bun's stream: the descriptor may be non-blocking.
  const hasOffset = stat.isFile() || stat.isBlockDevice();
  return named(name, isStdin && !hasOffset ? Bun.stdin.stream() : pieces(fd));
}

/** Runs a call on the input, and throws its error as an error of the input. */
function reading<T>(name: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw inputError(error, name);
  }
}

/** Yields what the source yields, and throws its error as an error of the input. */
async function* named(name: string, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* source;
  } catch (error) {
    throw inputError(error, name);
  }
}

/** Yields a file's bytes from the descriptor's position, piece by piece, so that only one piece is in memory. */
async function* pieces(fd: number): AsyncGenerator<Uint8Array> {
  for (;;) {
    // A new buffer each time: the consumer may keep the piece.
    const piece = new Uint8Array(PIECE_BYTES);
    const { bytesRead } = await read(fd, piece, 0, PIECE_BYTES, null);
    if (bytesRead === 0) break;
    yield piece.subarray(0, bytesRead);
  }
  // Leave standard input open for the next program.
  if (fd !== STDIN) fs.closeSync(fd);
}

function inputError(error: unknown, name: string): unknown {
  if (!(error instanceof Error) || !("code" in error)) return error;
  const code = String(error.code);
  const advice = name === "standard input" ? "check what it is connected to" : "check the path and its permissions";
  return new CommandError("INPUT", `${name}: cannot be read: ${code}: ${advice}`, error);
}
