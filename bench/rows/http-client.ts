/**
 * A client in a process of its own, beside the server of the rows `http`. At the line "URL CLIENTS" it downloads so often
 * at once, from bare sockets, and answers how many bytes came: of `fetch` much of the time would be its own. At the line
 * "URL" it downloads once by `fetch`, and answers the size and the CRC-32 of the body.
 */

import { answerLines } from "../lib/helper.ts";

/** The bytes of a response, with its head and the sizes of its chunks; the server closes at the end. */
function download({ hostname, port, pathname }: URL): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let sizeBytes = 0;
  void Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      open: (socket) => void socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`),
      data: (_, bytes) => void (sizeBytes += bytes.length),
      close: () => resolve(sizeBytes),
      error: (_, error) => reject(error),
      connectError: (_, error) => reject(error),
    },
  });
  return promise;
}

if (import.meta.main) {
  await answerLines(async (line) => {
    const [url = "", clients] = line.split(" ");
    if (clients === undefined) {
      const body = new Uint8Array(await (await fetch(url)).arrayBuffer());
      return `${body.length} bytes, CRC-32 ${Bun.hash.crc32(body).toString(16)}`;
    }
    const sizes = await Promise.all(Array.from({ length: Number(clients) }, () => download(new URL(url))));
    return String(Math.min(...sizes));
  });
}
