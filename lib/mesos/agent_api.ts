/**
 * The agent's operator API (v1), asked with HTTP/1.0 over a socket: Deno's own client would need
 * the permission to reach every host, which this program does without.
 */
import * as v from "valibot";
import { OperatorError } from "../base/error.ts";
import { isAddress } from "../base/ip.ts";
import { parseJson } from "../base/json.ts";
import { SystemError } from "../kernel/libc.ts";
import { addressFamilyOf, SOCK_STREAM, Socket, socketAddress } from "../kernel/socket.ts";
import type { ContainerId } from "./container_id.ts";
import { containerIdOf, containerIdSchema } from "./messages.ts";

/** How long, in ms, the agent may take to connect, and then for the whole of its answer. */
const PATIENCE = 10_000;
/** More than any agent's containers, in bytes. */
const LONGEST_ANSWER = 64 << 20;
const AGENT_PORT = 5051;

const answerSchema = v.object({
  get_containers: v.object({
    containers: v.optional(v.array(v.looseObject({ container_id: containerIdSchema })), []),
  }),
});

/**
 * The containers that an agent knows, nested and standalone ones too (GET_CONTAINERS).
 *
 * @param url `http://ADDRESS[:PORT]`
 * @param patience ms to connect, and then for the whole answer
 * @throws {OperatorError} `bad_agent`, when it can't be asked or answers something else
 */
export async function agentContainers(url: string, patience = PATIENCE): Promise<ContainerId[]> {
  const call = {
    type: "GET_CONTAINERS",
    get_containers: { show_nested: true, show_standalone: true },
  };
  const { address, port } = endpointOf(url);
  const answer = await post([address, port], "/api/v1", JSON.stringify(call), patience);
  let message: unknown;
  try {
    message = parseJson(answer);
  } catch {
    throw bad(url, `it answers no JSON: ${answer.slice(0, 200)}`);
  }
  const parsed = v.safeParse(answerSchema, message);
  if (!parsed.success) throw bad(url, `it answers no containers: ${answer.slice(0, 200)}`);
  return parsed.output.get_containers.containers.map(({ container_id }) =>
    containerIdOf(container_id)
  );
}

function endpointOf(url: string): { address: string; port: number } {
  const match = /^http:\/\/(?:\[([0-9a-f:.]+)\]|([^:/[\]]+))(?::(\d{1,5}))?\/?$/i.exec(url);
  const host = match?.[1] ?? match?.[2];
  const address = host === "localhost" ? "127.0.0.1" : host;
  if (!address || !isAddress(address)) {
    throw bad(url, "it must be like http://127.0.0.1:5051, with an address and without TLS");
  }
  return { address, port: Number(match?.[3] ?? AGENT_PORT) };
}

async function post(
  [address, port]: [string, number],
  path: string,
  body: string,
  patience: number,
): Promise<string> {
  const url = `http://${address}:${port}`;
  try {
    using socket = Socket.open(addressFamilyOf(address), SOCK_STREAM, 0);
    socket.connect(socketAddress(address, port), url);
    if (!await socket.writable(patience)) throw bad(url, "it does not answer");
    const refused = socket.takeError();
    if (refused !== 0) throw new SystemError(refused, `connect to ${url}`);
    socket.send(
      new TextEncoder().encode(
        `POST ${path} HTTP/1.0\r\nHost: ${address}\r\nContent-Type: application/json\r\n` +
          `Accept: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      ),
      `ask ${url}`,
    );
    const [head, ...rest] = (await receiveAll(socket, url, patience)).split("\r\n\r\n");
    const status = head!.split("\r\n")[0]!;
    const text = rest.join("\r\n\r\n");
    if (!/^HTTP\/1\.[01] 200 /.test(status)) throw bad(url, `${status}: ${text.slice(0, 200)}`);
    return text;
  } catch (error) {
    if (error instanceof SystemError) throw bad(url, error.message);
    throw error;
  }
}

async function receiveAll(socket: Socket, url: string, patience: number): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 << 10);
  let text = "";
  const end = performance.now() + patience;
  while (text.length < LONGEST_ANSWER) {
    const left = end - performance.now();
    if (left <= 0 || !await socket.readable(left)) {
      throw bad(url, `its answer is not whole after ${patience / 1000} s`);
    }
    const length = socket.receive(buffer, `read the answer of ${url}`);
    if (length === undefined) continue;
    if (length === 0) return text + decoder.decode();
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
  throw bad(url, "its answer does not end");
}

function bad(url: string, why: string): OperatorError {
  return new OperatorError("bad_agent", `the agent ${url} can't be asked for containers: ${why}`);
}
