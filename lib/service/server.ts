/** The isolator as a service: connections in, operations, responses out. */
import { dirname } from "@std/path";
import { messageOf, OperatorError } from "../base/error.ts";
import { FileLock } from "../kernel/lock.ts";
import { SystemError } from "../kernel/libc.ts";
import { isListening, UnixListener, type UnixStream } from "../kernel/unix_socket.ts";
import { exists } from "../base/exists.ts";
import { withFile } from "../base/file_error.ts";
import { isA, unless } from "../base/unless.ts";
import { isWorker } from "../kernel/threads.ts";
import { log } from "../base/log.ts";
import { discard, HttpError, readRequest, writeResponse } from "./http.ts";
import { MeasuredIsolator } from "./measured.ts";
import { Lanes, work } from "./lanes.ts";
import { bodyLimit, failure, LONGEST_BODY } from "./routes.ts";
import { notify, passedSocket } from "./systemd.ts";

export { MeasuredIsolator };

/** How long, in ms, a caller may take to send its request, or to take the response. */
const PATIENCE = 30_000;

/** Connections at a time; further ones wait in the socket's queue. */
const MOST_CONNECTIONS = 256;

/** How long, in ms, a caller may say nothing while others wait for its place. */
const LONGEST_SILENCE = 500;

/** Connections of users who are not root at a time, and how long, in ms, one of them may take. */
const MOST_STRANGERS = 16;
const STRANGERS_PATIENCE = 2_000;

/** Bytes that are read of what follows a request that was refused. */
const MOST_DISCARDED = 8 << 20;

/** Pause, in ms, after a connection could not be taken, such as for want of descriptors. */
const ACCEPT_PAUSE = 100;

/**
 * Serves until a signal asks it to stop, then finishes what is under way.
 *
 * @param path of the socket; unused when systemd passes one
 * @param ready called once it listens, with where
 * @throws {OperatorError} when the socket can't be had
 */
export async function serve(
  isolator: MeasuredIsolator,
  path: string,
  ready: (where: string) => void,
): Promise<void> {
  if (isWorker) return await work(isolator);
  const passed = passedSocket();
  if (passed !== undefined) {
    const listener = UnixListener.adopt(passed);
    ready("the socket that systemd passed");
    return await run(isolator, listener);
  }
  makePlace(dirname(path));
  // Held as long as the service lives: of two that start at once, one gets it.
  using lock = FileLock.tryTake(`${path}.lock`);
  if (!lock) throw inUse(path);
  try {
    if (isListening(path)) throw inUse(path);
    removeStale(path);
    const listener = UnixListener.at(path, 0o600);
    ready(path);
    await run(isolator, listener);
    removeStale(path);
  } finally {
    lock.remove();
  }
}

/** One directory: a path that is not there at all is a slip of the fingers. */
function makePlace(directory: string): void {
  if (exists(directory)) return;
  withFile("make", directory, () => Deno.mkdirSync(directory, { mode: 0o755 }));
}

function inUse(path: string): OperatorError {
  return new OperatorError(
    "socket_in_use",
    `another program serves at ${path}: stop it, or choose another --socket`,
  );
}

/** Removes the socket that a dead service has left; anything else at its path is not ours. */
function removeStale(path: string): void {
  unless(isA(Deno.errors.NotFound), () => {
    if (!Deno.lstatSync(path).isSocket) {
      throw new OperatorError("socket_in_use", `${path} is there and is no socket: remove it`);
    }
    Deno.removeSync(path);
  });
}

async function run(isolator: MeasuredIsolator, listener: UnixListener): Promise<void> {
  let stopping = false;
  /** Connections that have not asked for anything yet, and since when: nothing is under way there. */
  const silent = new Map<UnixStream, number>();
  const strangers = new Set<UnixStream>();
  const stop = () => {
    stopping = true;
    listener.cancel();
    for (const stream of [...silent.keys(), ...strangers]) stream.abort();
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, stop);
  const open = new Set<Promise<void>>();
  using lanes = new Lanes(isolator);
  notify("READY=1");
  while (!stopping) {
    try {
      const stream = await listener.accept();
      if (!stream) break;
      // Known before it may wait for anything, or keep anybody waiting.
      const { pid, uid } = stream.peer();
      if (uid !== 0) {
        turnAway(stream, uid, strangers);
        continue;
      }
      while (open.size >= MOST_CONNECTIONS) await makeRoom(open, silent);
      const done = converse(lanes, stream, pid, silent).finally(() => open.delete(done));
      open.add(done);
    } catch (error) {
      log.error("no connection can be taken", { error: messageOf(error) });
      await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE));
    }
  }
  notify("STOPPING=1");
  listener.close();
  await Promise.all(open);
}

/**
 * Waits for one of too many connections to end. Of those that have asked for nothing yet, the one
 * that has had the most time has to go, once it has had some.
 */
async function makeRoom(
  open: ReadonlySet<Promise<void>>,
  silent: ReadonlyMap<UnixStream, number>,
): Promise<void> {
  const [oldest] = silent;
  const rest = oldest ? oldest[1] + LONGEST_SILENCE - performance.now() : undefined;
  if (oldest && rest! <= 0) oldest[0].abort();
  let timer: number | undefined;
  const pause = new Promise<void>((resolve) => {
    if (rest !== undefined && rest > 0) timer = setTimeout(resolve, rest);
  });
  await Promise.race([...open, pause]);
  clearTimeout(timer);
}

/** One connection from its beginning to its end. Never fails: there is nobody to tell. */
async function converse(
  lanes: Lanes,
  connection: UnixStream,
  pid: number,
  silent: Map<UnixStream, number>,
): Promise<void> {
  using stream = connection;
  silent.set(stream, performance.now());
  try {
    const request = await inTime(stream, () => readRequest(stream, bodyLimit));
    if (!request) return;
    silent.delete(stream);
    const start = performance.now();
    const response = await lanes.respond(request);
    log.info(`${request.method} ${request.path}`, {
      status: response.status,
      ms: Math.round(performance.now() - start),
      pid,
    });
    await inTime(stream, () => writeResponse(stream, response));
  } catch (error) {
    await refuse(stream, error);
  } finally {
    silent.delete(stream);
  }
}

/** Answers what is no request. */
async function refuse(stream: UnixStream, error: unknown): Promise<void> {
  try {
    if (error instanceof SystemError) throw error;
    await inTime(stream, async () => {
      await writeResponse(stream, failure(error));
      // Closed with unread data, the connection would break before the answer is read.
      await discard(stream, MOST_DISCARDED);
    });
  } catch (error) {
    log.info("a connection broke", { error: messageOf(error) });
  }
}

/**
 * Tells a stranger to go, once it has asked. Strangers keep nobody waiting but each other: they are
 * few at a time, and the one that has had the most time makes room.
 */
async function turnAway(
  connection: UnixStream,
  uid: number,
  strangers: Set<UnixStream>,
): Promise<void> {
  using stream = connection;
  if (strangers.size >= MOST_STRANGERS) strangers.values().next().value?.abort();
  strangers.add(stream);
  const message = `this service is for root only, not for user ${uid}`;
  try {
    await inTime(stream, () => readRequest(stream, () => LONGEST_BODY), STRANGERS_PATIENCE);
    await inTime(
      stream,
      () => writeResponse(stream, failure(new HttpError(403, message))),
      STRANGERS_PATIENCE,
    );
  } catch (error) {
    log.info("a stranger's connection broke", { uid, error: messageOf(error) });
  } finally {
    strangers.delete(stream);
  }
}

/** Ends a connection whose other end has stopped to send or to listen. */
async function inTime<R>(
  stream: UnixStream,
  work: () => Promise<R>,
  patience = PATIENCE,
): Promise<R> {
  const timer = setTimeout(() => stream.abort(), patience);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
  }
}
