/**
 * As much HTTP/1.1 (RFC 9112) as a service on a unix socket needs: one request with a bounded
 * body of a known length, one response, and the end of the connection. Deno's own server takes
 * no socket that systemd has opened, and does not say who calls.
 */
import { concat } from "../base/bytes.ts";
import type { UnixStream } from "../kernel/unix_socket.ts";

/** Bytes of a request's head that are too many. */
const HEAD_LIMIT = 16 << 10;

export interface HttpRequest {
  method: string;
  /** Without the query. */
  path: string;
  body: string;
}

export interface HttpResponse {
  status: number;
  /** JSON, unless `contentType` says something else; none for a status without a body. */
  body?: string;
  contentType?: string;
}

/** A request that is none. */
export class HttpError extends Error {
  override name = "HttpError";
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  204: "No Content",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  411: "Length Required",
  413: "Content Too Large",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  502: "Bad Gateway",
  505: "HTTP Version Not Supported",
};

/**
 * Reads the request of a connection.
 *
 * @param bodyLimit how many bytes the body of a request to a path may have
 * @returns undefined when the other end closed without sending any
 * @throws {HttpError} with the status to answer with
 * @throws {SystemError} when the connection breaks
 */
export async function readRequest(
  stream: UnixStream,
  bodyLimit: (path: string) => number,
): Promise<HttpRequest | undefined> {
  const input = new Input(stream);
  const head = await input.readHead();
  if (head === undefined) return undefined;
  const [first, ...lines] = head.split("\r\n");
  // A client may name the server again in its request line (absolute form, section 3.2.2).
  const match = /^([A-Z]+) (?:http:\/\/[!-.0-~]+)?(\/[!-~]*) HTTP\/1\.[01]$/.exec(first!);
  if (!match) {
    throw /^[A-Z]+ \S+ HTTP\/[0-9.]+$/.test(first!)
      ? new HttpError(505, "this service speaks HTTP/1.1")
      : new HttpError(400, `no HTTP request line: ${JSON.stringify(first!.slice(0, 80))}`);
  }
  const headers = parseHeaders(lines);
  const path = match[2]!.split("?")[0]!;
  const length = bodyLength(headers, bodyLimit(path));
  if (length > 0 && headers.get("expect")?.toLowerCase() === "100-continue") {
    await stream.write(new TextEncoder().encode("HTTP/1.1 100 Continue\r\n\r\n"));
  }
  const body = await input.readBody(length);
  return { method: match[1]!, path, body };
}

/** @throws {SystemError} when the other end is gone */
export async function writeResponse(stream: UnixStream, response: HttpResponse): Promise<void> {
  const { status, contentType = "application/json" } = response;
  const body = new TextEncoder().encode(response.body ?? "");
  const lines = [
    `HTTP/1.1 ${status} ${REASONS[status]}`,
    ...status === 204 ? [] : [`Content-Type: ${contentType}`, `Content-Length: ${body.length}`],
    "Connection: close",
  ];
  const head = new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n");
  await stream.write(concat([head, body]));
  stream.endWriting();
}

/** Reads to the end of a connection, or as far as `limit` bytes. @throws {SystemError} */
export async function discard(stream: UnixStream, limit: number): Promise<void> {
  const chunk = new Uint8Array(64 << 10);
  for (let count = 1; count > 0 && limit > 0; limit -= count) count = await stream.read(chunk);
}

function parseHeaders(lines: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line);
    if (!match) throw new HttpError(400, `no HTTP header: ${JSON.stringify(line.slice(0, 80))}`);
    const name = match[1]!.toLowerCase();
    if (name === "content-length" && headers.has(name)) {
      throw new HttpError(400, "Content-Length was given twice");
    }
    headers.set(name, match[2]!);
  }
  return headers;
}

function bodyLength(headers: ReadonlyMap<string, string>, limit: number): number {
  if (headers.has("transfer-encoding")) {
    throw new HttpError(411, "send the body with a Content-Length, not in chunks");
  }
  const text = headers.get("content-length") ?? "0";
  if (!/^\d{1,15}$/.test(text)) {
    throw new HttpError(400, `Content-Length: ${JSON.stringify(text.slice(0, 80))} is no number`);
  }
  const length = Number(text);
  if (length > limit) {
    throw new HttpError(413, `the body has ${length} bytes; at most ${limit} are taken`);
  }
  return length;
}

/** What arrives, with what has arrived but is not yet asked for. */
class Input {
  #bytes = new Uint8Array(0);

  constructor(private readonly stream: UnixStream) {}

  /** Everything up to the empty line. */
  async readHead(): Promise<string | undefined> {
    while (true) {
      // Latin 1, so that an index into the text is one into the bytes.
      const text = new TextDecoder("latin1").decode(this.#bytes);
      const end = text.indexOf("\r\n\r\n");
      if (end >= 0) {
        this.#bytes = this.#bytes.slice(end + 4);
        return text.slice(0, end);
      }
      if (this.#bytes.length > HEAD_LIMIT) {
        throw new HttpError(431, `the head of the request has more than ${HEAD_LIMIT} bytes`);
      }
      if (!await this.#more()) {
        if (this.#bytes.length === 0) return undefined;
        throw new HttpError(400, "the request ends within its head");
      }
    }
  }

  /** In pieces: no room is made for what is only announced. */
  async readBody(length: number): Promise<string> {
    const pieces = [this.#bytes];
    let left = length - this.#bytes.length;
    const chunk = new Uint8Array(Math.max(0, Math.min(left, 64 << 10)));
    while (left > 0) {
      const count = await this.stream.read(chunk);
      if (count === 0) throw new HttpError(400, "the request ends within its body");
      pieces.push(chunk.slice(0, count));
      left -= count;
    }
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(concat(pieces).subarray(0, length));
    } catch {
      throw new HttpError(400, "the body is not UTF-8");
    }
  }

  async #more(): Promise<boolean> {
    const chunk = new Uint8Array(16 << 10);
    const count = await this.stream.read(chunk);
    this.#bytes = concat([this.#bytes, chunk.subarray(0, count)]);
    return count > 0;
  }
}
