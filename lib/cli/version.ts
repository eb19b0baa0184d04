import { SPEC_VERSIONS } from "../cni/version.ts";
import { VERSION } from "../base/version.ts";
import { type Command, JSON_FLAG } from "./command.ts";
import { print, printJson } from "./output.ts";

export const command: Command = {
  name: "version",
  flags: [JSON_FLAG],
  examples: [["mesos-cni version", "the version, the runtime and the CNI versions it speaks"]],
  run(call) {
    const { deno: runtime } = Deno.version;
    if (call.has("json")) printJson({ version: VERSION, runtime, cniVersions: SPEC_VERSIONS });
    else print(`mesos-cni ${VERSION} (Deno ${runtime}; CNI ${SPEC_VERSIONS.join(", ")})`);
  },
};
