/** A host that is not the agent: a network namespace behind a wire. */
import $ from "@david/dax";

export const OUTSIDE_ADDRESS = "203.0.113.2";

export interface Outside extends AsyncDisposable {
  /** A process in its network. */
  pid: number;
}

export async function makeOutside(agent: string): Promise<Outside> {
  const holder = new Deno.Command("unshare", {
    args: ["--net", "sh", "-c", "echo && exec cat"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = holder.stdout.getReader();
  await reader.read();
  reader.releaseLock();
  const { pid } = holder;
  await $`ip link set lo up`;
  await $`ip link add wan0 type veth peer name eth0 netns ${pid}`;
  await $`ip address add ${agent}/24 dev wan0`;
  await $`ip link set wan0 up`;
  await $`nsenter --target=${pid} --net ip address add ${OUTSIDE_ADDRESS}/24 dev eth0`;
  await $`nsenter --target=${pid} --net ip link set eth0 up`;
  return {
    pid,
    async [Symbol.asyncDispose]() {
      await holder.stdin.close();
      await holder.stdout.cancel();
      await holder.status;
    },
  };
}
