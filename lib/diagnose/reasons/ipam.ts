/** host-local's store of addresses, against the checkpoint. */
import { leaseFile, leaseHolder } from "../../containers/lease.ts";
import { type Finding, problem } from "../finding.ts";
import type { Scene } from "../scene.ts";

export function probeIpam(scene: Scene): Finding[] {
  return scene.interfaces.flatMap(({ checkpoint, expected }) =>
    expected.flatMap(({ address }) => {
      const file = checkpoint && leaseFile(checkpoint, address);
      return file === undefined ? [] : storeOfAddress(scene, file, address);
    })
  );
}

function storeOfAddress(scene: Scene, file: string, address: string): Finding[] {
  const id = scene.container!.id;
  const holder = leaseHolder(file);
  if (holder === id) return [];
  if (holder === undefined) {
    return [problem(
      "ipam_lost",
      ["state", "agent"],
      `the IPAM store has forgotten that ${address} is ${id}'s`,
      [`there is no ${file}, and the checkpoint has the address`],
      `host-local will give ${address} to the next container: write the container's id into ` +
        "that file, or restart the container",
    )];
  }
  return [problem(
    "ipam_conflict",
    ["state", "agent"],
    `the IPAM store says that ${address} of ${id} is another's`,
    [`${file} names ${JSON.stringify(holder.slice(0, 80))}`],
    `two containers may use ${address}: restart the one that came later`,
  )];
}
