/** What the service answers to each request: the isolator's operations by path. */
import { jsonText } from "../base/printable.ts";
import * as v from "valibot";
import { joined, messageOf, OperatorError } from "../base/error.ts";
import { parseJson } from "../base/json.ts";
import { Pace } from "../base/pace.ts";
import { CniError } from "../cni/error.ts";
import { log } from "../base/log.ts";
import { type ContainerId, parseContainerId } from "../mesos/container_id.ts";
import {
  type ContainerStatus,
  LONGEST_RECOVERY,
  parse,
  parseContainerConfig,
  parseRecovery,
} from "../mesos/messages.ts";
import { VERSION } from "../base/version.ts";
import { checkAttachment } from "../isolator/attach.ts";
import { cleanup } from "../isolator/cleanup.ts";
import { findGarbage } from "../isolator/gc/mod.ts";
import { askNetworks, collectNetworks } from "../isolator/gc/plugins.ts";
import { sweep } from "../isolator/gc/sweep.ts";
import { knownContainers } from "../containers/ids.ts";
import { isolate } from "../isolator/isolate.ts";
import { prepare } from "../isolator/prepare.ts";
import { recover } from "../isolator/recover.ts";
import { status } from "../isolator/status.ts";
import { usage } from "../isolator/usage.ts";
import { HttpError, type HttpRequest, type HttpResponse } from "./http.ts";
import type { MeasuredIsolator } from "./measured.ts";

/** Bytes of a body that are too many: a ContainerConfig with thousands of labels is far below. */
export const LONGEST_BODY = 1 << 20;

/** How many bytes the body of a request to a path may have. */
export function bodyLimit(path: string): number {
  return path === "/v1/recover" ? LONGEST_RECOVERY : LONGEST_BODY;
}

/** An answer in JSON; undefined for none. */
type Answer = unknown | Promise<unknown>;

/** By method and path, in which `ID` is a container's. */
const CONTAINER_ROUTES: Readonly<
  Record<string, (isolator: MeasuredIsolator, id: ContainerId, body: string) => Answer>
> = {
  "POST prepare": (isolator, id, body) => {
    const config = parseContainerConfig(parseBody(body), "request body");
    return inOrder(isolator, "prepare", id, () => prepare(isolator, id, config));
  },
  "POST isolate": (isolator, id, body) => {
    const pid = parsePid(parseBody(body));
    return inOrder(isolator, "isolate", id, async () => {
      await isolate(isolator, id, pid);
      return status(isolator, id);
    });
  },
  "POST check": (isolator, id) =>
    inOrder(isolator, "check", id, async () => {
      mustBeThere(isolator, id);
      const failures: OperatorError[] = [];
      for (const attachment of isolator.settings.layout.listAttachments(id)) {
        try {
          await checkAttachment(isolator, id, attachment);
        } catch (error) {
          if (!(error instanceof OperatorError)) throw error;
          failures.push(error);
        }
      }
      if (failures.length > 0) throw joined(failures);
    }),
  "POST cleanup": (isolator, id) =>
    inOrder(isolator, "cleanup", id, async () => {
      await cleanup(isolator, id);
    }),
  "GET status": (isolator, id) => {
    mustBeThere(isolator, id);
    return status(isolator, id);
  },
  "GET usage": (isolator, id) => {
    mustBeThere(isolator, id);
    return usage(isolator, id);
  },
};

const ROUTES: Readonly<Record<string, (isolator: MeasuredIsolator, body: string) => Answer>> = {
  "GET /v1/containers": async (isolator) => {
    const pace = new Pace();
    const all: [ContainerId, ContainerStatus][] = [];
    for (const id of knownContainers(isolator.settings.layout)) {
      all.push([id, status(isolator, id)]);
      await pace.rest();
    }
    return Object.fromEntries(all);
  },
  "GET /v1/networks": ({ networks }) => {
    networks.load();
    return {
      networks: networks.names().map((name) => ({ name, file: networks.read(name).file })),
      skipped: networks.skipped,
    };
  },
  "POST /v1/recover": (isolator, body) => {
    const known = body === "" ? undefined : parseRecovery(parseBody(body), "request body");
    return isolator.measuredRecovery(() => recover(isolator, known));
  },
  "POST /v1/gc": async (isolator, body) => {
    const { apply = false, containers = [] } = parseGcOrder(body);
    const swept = await sweep(await findGarbage(isolator, containers.map(parseContainerId)), apply);
    isolator.swept(swept);
    if (apply) await collectNetworks(isolator);
    return swept;
  },
  "GET /healthz": () => ({ status: "ok", version: VERSION }),
  /** Apart from healthz, which answers at once: here plugins are asked (STATUS). */
  "GET /readyz": async (isolator) => {
    const unready = (await askNetworks(isolator)).flatMap(({ network, error }) =>
      error === undefined ? [] : { network, error }
    );
    return { status: unready.length === 0 ? "ok" : "unready", unready };
  },
};

/** Answers a request, with an error in JSON when it fails. */
export async function respond(
  isolator: MeasuredIsolator,
  request: HttpRequest,
): Promise<HttpResponse> {
  try {
    if (`${request.method} ${request.path}` === "GET /metrics") {
      const contentType = "text/plain; version=0.0.4; charset=utf-8";
      const health = await isolator.health();
      const body = isolator.metrics() + health;
      return { status: 200, contentType, body };
    }
    const answer = await route(isolator, request);
    return answer === undefined ? { status: 204 } : { status: 200, body: json(answer) };
  } catch (error) {
    return failure(error);
  }
}

function route(isolator: MeasuredIsolator, { method, path, body }: HttpRequest): Answer {
  const own = ROUTES[`${method} ${path}`];
  if (own) return own(isolator, body);
  const [, id, operation] = /^\/v1\/containers\/([^/]+)\/([a-z]+)$/.exec(path) ?? [];
  if (id !== undefined) {
    const found = CONTAINER_ROUTES[`${method} ${operation}`];
    if (found) return found(isolator, parseContainerId(id), body);
  }
  const methods = ["GET", "POST"].filter((other) =>
    ROUTES[`${other} ${path}`] || id !== undefined && CONTAINER_ROUTES[`${other} ${operation}`] ||
    `${other} ${path}` === "GET /metrics"
  );
  if (methods.length > 0) throw new HttpError(405, `${path} takes ${methods.join(" or ")}`);
  throw new HttpError(404, `there is nothing at ${path}`);
}

/** Operations of one container go one after the other; what is measured is without the wait. */
function inOrder<R>(
  isolator: MeasuredIsolator,
  operation: string,
  id: ContainerId,
  work: () => R | Promise<R>,
): Promise<R> {
  return isolator.locks.hold(id, () => isolator.measured(operation, id, work));
}

function mustBeThere({ settings: { layout } }: MeasuredIsolator, id: ContainerId): void {
  if (layout.has(id)) return;
  throw new OperatorError("unknown_container", `no container ${id} in ${layout.containers}`);
}

function parseBody(body: string): unknown {
  try {
    return parseJson(body);
  } catch (error) {
    throw new OperatorError("bad_message", `the request body is not JSON: ${messageOf(error)}`);
  }
}

const gcOrder = v.strictObject({
  apply: v.optional(v.boolean()),
  /** Those that a containerizer knows of, whether they have a process or not. */
  containers: v.optional(v.array(v.string())),
});

function parseGcOrder(body: string): v.InferOutput<typeof gcOrder> {
  return parse(gcOrder, body === "" ? {} : parseBody(body), "request body");
}

function parsePid(message: unknown): number {
  const pid = (message as { pid?: unknown } | null)?.pid;
  if (typeof pid === "number" && Number.isSafeInteger(pid) && pid > 0) return pid;
  throw new OperatorError("bad_message", 'request body: pid: {"pid": PROCESS ID} is needed');
}

/** What is the caller's to mend, by the code of the error; all else is ours, or the agent's. */
const STATUSES: Readonly<Record<string, number>> = {
  bad_comment: 400,
  bad_container_id: 400,
  bad_message: 400,
  network_twice: 400,
  unsupported_version: 400,
  unknown_network: 400,
  unknown_container: 404,
  agents_namespace: 409,
  alive: 409,
  busy: 409,
  elsewhere: 409,
  isolated_twice: 409,
  no_process: 409,
  not_attached: 409,
  not_prepared: 409,
  prepared_twice: 409,
};

/** The response to whatever was thrown. A defect's stack goes to the log, not to the caller. */
export function failure(error: unknown): HttpResponse {
  if (error instanceof HttpError) {
    return { status: error.status, body: json({ code: "bad_request", message: error.message }) };
  }
  if (!(error instanceof OperatorError)) {
    log.error("defect", { stack: (error as Error).stack ?? messageOf(error) });
    const message = `a defect of mesos-cni, which its log describes: ${messageOf(error)}`;
    return { status: 500, body: json({ code: "defect", message }) };
  }
  const { code, message, details } = error;
  // A plugin stands behind us as a server stands behind a gateway.
  const status = error instanceof CniError || code.startsWith("cni_") ? 502 : STATUSES[code] ?? 500;
  return { status, body: json({ code, message, details }) };
}

function json(value: unknown): string {
  return jsonText(value) + "\n";
}
