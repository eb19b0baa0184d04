/** A host that is not the agent: a network namespace behind a wire. */
import { interfaceAddress } from "../../plugins/shared/addresses.ts";
import { open } from "../../lib/kernel/files.ts";
import { addAddress } from "../../lib/netlink/address_changes.ts";
import { addVeth } from "../../lib/netlink/link_changes.ts";
import { Netlink } from "../../lib/netlink/mod.ts";

export const OUTSIDE_ADDRESS = "203.0.113.2";

export interface Outside extends AsyncDisposable {
  /** A process in its network. */
  pid: number;
}

/** Made over netlink, as the program itself does it: a machine may have no `ip`. */
export async function makeOutside(agent: string): Promise<Outside> {
  const holder = new Deno.Command("unshare", {
    args: ["--net", "sh", "-c", "echo && exec cat"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = holder.stdout.getReader();
  await reader.read();
  reader.releaseLock();
  const netns = `/proc/${holder.pid}/ns/net`;
  using here = Netlink.open();
  using there = Netlink.open(netns);
  using handle = open(netns);
  here.setLinkUp("lo");
  here.change(addVeth({ name: "wan0" }, { name: "eth0", netns: handle }));
  const ends = [[here, "wan0", agent], [there, "eth0", OUTSIDE_ADDRESS]] as const;
  for (const [netlink, name, address] of ends) {
    netlink.change(addAddress(netlink.link(name).index, name, interfaceAddress(`${address}/24`)));
    netlink.setLinkUp(name);
  }
  return {
    pid: holder.pid,
    async [Symbol.asyncDispose]() {
      await holder.stdin.close();
      await holder.stdout.cancel();
      await holder.status;
    },
  };
}
