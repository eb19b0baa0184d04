/** An agent with networks for `mesos-cni isolator serve`: a real one, a slow and a broken one. */
import { CNI_PLUGINS } from "./binary.ts";
import { Sandbox } from "./sandbox.ts";

export const BRIDGE = {
  cniVersion: "0.4.0",
  name: "cni-test",
  type: "bridge",
  bridge: "mesos-cni0",
  isGateway: true,
  ipMasq: true,
  ipam: { type: "host-local", subnet: "192.168.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
};
/** A request for it. */
export const ON_BRIDGE = {
  container_info: { type: "MESOS", network_infos: [{ name: "cni-test" }] },
};

/** A plugin that takes its time, and writes down when, and which files it was given. */
const SLOW = `#!/bin/sh
read config
[ "$CNI_COMMAND" != VERSION ] || exit 0
ls -l /proc/$$/fd > "$(dirname "$0")/files"
echo "$CNI_CONTAINERID $CNI_COMMAND begins" >> "$(dirname "$0")/log"
sleep 0.5
echo "$CNI_CONTAINERID $CNI_COMMAND ends" >> "$(dirname "$0")/log"
[ "$CNI_COMMAND" = DEL ] || echo '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.1.1.1/24"}]}'
`;
const BROKEN = `#!/bin/sh
echo '{"cniVersion":"0.4.0","code":117,"msg":"no more addresses","details":"the pool is empty"}'
exit 1
`;

/** An agent with the networks `cni-test`, `slow` and `broken`, and flags to serve them. */
export async function machine() {
  const agent = await Sandbox.create();
  const { dir } = agent;
  Deno.mkdirSync(`${dir}/networks`);
  Deno.mkdirSync(`${dir}/plugins`);
  const config = (name: string, content: unknown) =>
    Deno.writeTextFileSync(`${dir}/networks/${name}`, JSON.stringify(content));
  config("cni-test.conf", BRIDGE);
  for (const [name, script] of Object.entries({ slow: SLOW, broken: BROKEN })) {
    config(`${name}.conf`, { cniVersion: "0.4.0", name, type: name });
    Deno.writeTextFileSync(`${dir}/plugins/${name}`, script, { mode: 0o755 });
  }
  const networkFlags = [
    `--network_cni_config_dir=${dir}/networks`,
    `--network_cni_plugins_dir=${dir}/plugins:${CNI_PLUGINS}`,
  ];
  return {
    agent,
    dir,
    socket: `${dir}/isolator.sock`,
    networkFlags,
    logOfSlow: () => Deno.readTextFileSync(`${dir}/plugins/log`).trim().split("\n"),
    [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
  };
}

/** A request for a network by its name. */
export const on = (network: string) => ({ container_info: { network_infos: [{ name: network }] } });
