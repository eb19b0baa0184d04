/** A virtual machine as an agent: the program installed, networks, containers, a host outside. */
import { assert, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import type { Config } from "../agent.ts";
import { DOWNLOADED, type Machine } from "./machine.ts";

/** A network config of examples/networks. */
export function example(name: string): Config {
  const file = new URL(`../../../examples/networks/${name}.conf`, import.meta.url);
  return JSON.parse(Deno.readTextFileSync(fromFileUrl(file)));
}

/** Installs the program, and defines networks. */
export async function install(machine: Machine, ...networks: Config[]): Promise<void> {
  await machine.ok(`${DOWNLOADED} install`);
  await define(machine, ...networks);
}

export async function define(machine: Machine, ...networks: Config[]): Promise<void> {
  for (const network of networks) {
    await machine.write(`/etc/mesos/cni/${network.name}.conf`, JSON.stringify(network));
  }
}

/** A `mesos-cni run` whose command goes on; resolves when the command runs. */
export async function start(
  machine: Machine,
  id: string,
  flags: string,
  command: string,
): Promise<void> {
  const log = `/run/${id}.log`;
  const { code, stdout } = await machine.run(`
    mesos-cni run --name=${id} ${flags} -- sh -c 'echo started; ${command}' >${log} 2>&1 &
    echo $! >/run/${id}.pid
    until grep -q '^started' ${log}; do
      kill -0 $! 2>/dev/null || { cat ${log}; exit 1; }
      usleep 100000
    done`);
  assert(code === 0, `container ${id} did not start:\n${stdout}`);
}

/** Ends the command of a `mesos-cni run`, and waits until `run` has cleaned up. */
export async function stop(machine: Machine, id: string): Promise<void> {
  await machine.ok(`
    kill $(cat /run/${id}.pid)
    while kill -0 $(cat /run/${id}.pid) 2>/dev/null; do usleep 100000; done`);
}

/** A command that serves a page with this text at port 80. */
export function webServer(text: string): string {
  return `mkdir /run/www-${text}; echo ${text} >/run/www-${text}/index.html; ` +
    `exec httpd -f -p 80 -h /run/www-${text}`;
}

/** The address of the agent, as `outside` reaches it. */
export const AGENT = "203.0.113.1";

/** Puts a host beside the agent, on a wire of its own. Its commands begin with what is returned. */
export async function outside(machine: Machine): Promise<string> {
  const pid = await machine.ok(`
    unshare -n sleep 100000 >/dev/null 2>&1 &
    ip link add wan0 type veth
    peer=$(ip -o link | sed -n 's/^[0-9]*: \\(.*\\)@wan0:.*/\\1/p')
    ip address add ${AGENT}/24 dev wan0
    ip link set wan0 up
    until ip link set $peer netns $! 2>/dev/null && ! ip link show $peer >/dev/null 2>&1; do usleep 50000; done
    outside="nsenter -t $! -n"
    $outside ip link set $peer up
    $outside ip address add 203.0.113.2/24 dev $peer
    echo $!`);
  return `nsenter -t ${pid.trim()} -n`;
}

/** Asserts that a page with this text is served at a port of the agent, seen from outside. */
export async function serves(
  machine: Machine,
  from: string,
  port: number,
  text: string,
): Promise<void> {
  const page = await machine.run(`timeout 120 ${from} wget -q -O - http://${AGENT}:${port}/`);
  assertStringIncludes(page.stdout, text, page.stderr);
}

/** Where the program finds no tool, but the scenario does. */
export const OBSERVER = { "/observer/nft": "/usr/sbin/nft" };

/**
 * What containers have made and nobody has taken away: addresses, rules, links, claims, checkpoints,
 * handles. The networks' addresses are in 192.168.0.0/16. A machine needs OBSERVER for it.
 */
export async function leftovers(machine: Machine): Promise<string[]> {
  const seen = await machine.ok(`
    find /var/lib/cni/networks -name '[0-9]*.*' 2>/dev/null
    /observer/nft list ruleset | grep -E '192\\.168\\.|container_id'
    ip -o link | grep master | cut -d' ' -f2
    find /run/mesos-cni/port-mapper/attachments /run/mesos-cni/port-mapper/ports -mindepth 1 2>/dev/null
    find /run/mesos /var/lib/mesos -mindepth 5 ! -name .seal 2>/dev/null
    cut -d' ' -f5 /proc/self/mountinfo | grep -E '/network/(cni|mesos-cni/handles)/[^.]'
    true`);
  return seen.split("\n").map((line) => line.trim()).filter((line) => line !== "");
}
