/**
 * A client of the Kubernetes CRI (runtime.v1) for a test: gRPC over a unix socket, of which only
 * unary calls are needed, and protobuf messages written by hand, of which only a few fields are.
 */
import http2 from "node:http2";
import net from "node:net";

/** A protobuf message: its fields in order, by number. */
export type Message = readonly (readonly [field: number, value: string | number | Message])[];

/** protobuf's wire format: varints and length-delimited fields. */
export function encode(message: Message): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (const [field, value] of message) {
    if (typeof value === "number") {
      bytes.push(...varint(field << 3), ...varint(value));
    } else {
      const content = typeof value === "string" ? new TextEncoder().encode(value) : encode(value);
      bytes.push(...varint(field << 3 | 2), ...varint(content.length), ...content);
    }
  }
  return new Uint8Array(bytes);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 0x7f; value >>>= 7) bytes.push(value & 0x7f | 0x80);
  return [...bytes, value];
}

/** The first string field of a message: the id that the runtime answers with. */
function firstString(bytes: Uint8Array): string {
  if (bytes.length === 0) return "";
  return new TextDecoder().decode(bytes.subarray(2, 2 + bytes[1]!));
}

export class Cri implements Disposable {
  readonly #session: http2.ClientHttp2Session;

  constructor(socket: string) {
    this.#session = http2.connect("http://localhost", {
      createConnection: () => net.connect(socket),
    });
    this.#session.on("error", () => {});
  }

  /** @throws {Error} with the runtime's own words */
  call(method: string, request: Message): Promise<string> {
    const body = encode(request);
    const frame = new Uint8Array(5 + body.length);
    new DataView(frame.buffer).setUint32(1, body.length);
    frame.set(body, 5);
    return new Promise((resolve, reject) => {
      const stream = this.#session.request({
        ":method": "POST",
        ":path": `/runtime.v1.RuntimeService/${method}`,
        "content-type": "application/grpc",
        te: "trailers",
      });
      const chunks: Uint8Array[] = [];
      let status = "";
      const look = (headers: http2.IncomingHttpHeaders) => {
        const code = headers["grpc-status"];
        if (code !== undefined && code !== "0") {
          status = `${method}: ${decodeURIComponent(String(headers["grpc-message"]))}`;
        }
      };
      stream.on("response", look);
      stream.on("trailers", look);
      stream.on("data", (chunk: Uint8Array) => chunks.push(chunk));
      stream.on("error", reject);
      stream.on("end", () => {
        if (status !== "") return reject(new Error(status));
        const answer = Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
        resolve(firstString(answer.subarray(5)));
      });
      stream.end(frame);
    });
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }
}
