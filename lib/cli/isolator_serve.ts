import { resolve } from "@std/path";
import { NETWORK_FLAGS } from "./agent_flags.ts";
import { plainLine } from "../base/printable.ts";
import { writeErrorOutput } from "../base/streams.ts";
import { type Command, flag } from "./command.ts";
import { isolatorOf } from "./isolator_of.ts";

export const SOCKET = "/run/mesos-cni/isolator.sock";

export const command: Command = {
  name: "isolator serve",
  flags: [
    ...NETWORK_FLAGS,
    flag("--socket=PATH", "where to listen, for root only; unused when systemd passes a socket", {
      default: SOCKET,
      complete: "file",
    }),
  ],
  examples: [[
    "mesos-cni isolator serve --network_cni_config_dir=/etc/mesos/cni --network_cni_plugins_dir=/usr/lib/cni",
    `then: curl --unix-socket ${SOCKET} http://localhost/v1/containers`,
  ]],
  notes:
    `A stop signal (SIGTERM, SIGINT) finishes what is under way. All state is on disk: it can be
restarted at any time. docs/isolator-service.md describes the requests.`,
  async run(call) {
    const { serve, MeasuredIsolator } = await import("../service/server.ts");
    const path = resolve(call.value("socket")!);
    // Never in the way of the service: there may be nobody to read it.
    const ready = (where: string) =>
      writeErrorOutput(plainLine(`mesos-cni: listening at ${where}`) + "\n");
    await serve(isolatorOf(call, MeasuredIsolator), path, ready);
  },
};
