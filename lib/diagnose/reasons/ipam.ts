/** host-local's store of addresses, against the checkpoint. */
import { join } from "@std/path";
import { isObject } from "../../base/json.ts";
import { readCheckpoint } from "../../base/atomic_file.ts";
import { type Finding, problem } from "../finding.ts";
import type { Attached, Scene } from "../scene.ts";

/** Default of the plugin's `dataDir`. */
const DATA_DIR = "/var/lib/cni/networks";

export function probeIpam(scene: Scene): Finding[] {
  return scene.interfaces.flatMap((attached) => {
    const directory = storeOf(attached);
    return directory === undefined
      ? []
      : attached.expected.flatMap(({ address }) => storeOfAddress(scene, directory, address));
  });
}

function storeOf({ checkpoint }: Attached): string | undefined {
  const ipam = checkpoint?.plugins.map((plugin) => plugin.ipam).find(isObject);
  if (ipam?.type !== "host-local") return undefined;
  return join(typeof ipam.dataDir === "string" ? ipam.dataDir : DATA_DIR, checkpoint!.network);
}

function storeOfAddress(scene: Scene, directory: string, address: string): Finding[] {
  const id = scene.container!.id;
  const file = join(directory, address);
  const holder = readCheckpoint(file)?.split(/\r?\n/)[0]?.trim();
  if (holder === id) return [];
  if (holder === undefined) {
    return [problem(
      "ipam_lost",
      ["state", "agent"],
      `the IPAM store has forgotten that ${address} is ${id}'s`,
      [`there is no ${file}, and the checkpoint has the address`],
      `host-local will give ${address} to the next container: write the container's id into ` +
        "that file, or start the container anew",
    )];
  }
  return [problem(
    "ipam_conflict",
    ["state", "agent"],
    `the IPAM store says that ${address} of ${id} is another's`,
    [`${file} names ${JSON.stringify(holder.slice(0, 80))}`],
    `two containers may use ${address}: start anew the one that came later`,
  )];
}
