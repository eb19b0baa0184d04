/** What other kernels have and this machine's may lack: kinds of interfaces, SCTP, faults to find. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  example,
  install,
  leftovers,
  OBSERVER,
  outside,
  start,
  stop,
  webServer,
} from "../harness/machine/agent.ts";
import { KERNELS } from "../harness/machine/kernels.ts";
import { IN_VRF, networks } from "../harness/machine/kinds.ts";
import { Machine } from "../harness/machine/machine.ts";
import { longMachineTest } from "../harness/machine/test.ts";

for (const kernel of KERNELS) {
  longMachineTest(`on ${kernel}: interfaces and SCTP that this machine may lack`, async (t) => {
    await using machine = await Machine.start({
      kernel,
      parts: ["iptables", "iproute2", "socat"],
      files: OBSERVER,
    });
    await install(machine, example("port-mapper-test"), IN_VRF, ...networks());
    const stranger = await outside(machine);
    await t.step("lint says what the kernel lacks, and nothing else", async () => {
      await machine.ok("mesos-cni lint --probe --select=CNI807");
      await machine.ok(
        "rmmod ipvlan 8021q; mkdir /gone && mv $(find /lib/modules -name ipvlan -o -name 8021q) /gone",
      );
      const { stdout } = await machine.run("mesos-cni lint --probe --select=CNI807");
      await machine.ok(
        "cd /lib/modules/*/kernel && mv /gone/ipvlan drivers/net && mv /gone/8021q net",
      );
      assertEquals(
        stdout.match(/can't make \w+/g),
        ["can't make ipvlan", "can't make vlan"],
        stdout,
      );
    });

    await machine.ok(`
      ${stranger} sh -c '
        wire=$(ip -o link | sed -n "s/^[0-9]*: \\([^@]*\\)@if.*/\\1/p")
        ip link add link $wire name vlan10 type vlan id 10
        ip address add 192.168.10.254/24 dev vlan10
        ip link set vlan10 up
        ip address add 192.168.20.254/24 dev $wire'`);

    for (const [name, peer] of [["vlan", "192.168.10.254"], ["ipvlan", "192.168.20.254"]]) {
      await t.step(`${name} attaches, talks, and goes away`, async () => {
        const ping = `ping -c 1 -W 60 ${peer}`;
        await machine.ok(`mesos-cni run --networks=${name} -- ${ping}`);
        assertEquals(await leftovers(machine), []);
      });
    }
    await t.step("dummy has its address, and goes away", async () => {
      const shown = await machine.ok("mesos-cni run --networks=dummy -- ip -d address show eth0");
      assertStringIncludes(shown, "dummy");
      assertStringIncludes(shown, "inet 192.168.30.");
      assertEquals(await leftovers(machine), []);
    });
    await t.step("vrf routes by a table of its own, and goes away", async () => {
      const shown = await machine.ok(
        "mesos-cni run --networks=vrf -- sh -c 'ip link show master red; ping -c 1 -W 60 -I red 192.168.40.1'",
      );
      assertStringIncludes(shown, "eth0@");
      assertStringIncludes(shown, "1 packets received");
      assertEquals(await leftovers(machine), []);
    });
    await t.step("a port of SCTP is mapped", async () => {
      await machine.ok("modprobe sctp"); // Two who need it at once would both try to load it.
      const flags = "--networks=port-mapper-test --port_mappings=9000:90/sctp";
      await start(
        machine,
        "sctp",
        flags,
        'exec socat -u SYSTEM:"echo over sctp" SCTP-LISTEN:90,fork',
      );
      const said = await machine.ok(`
        until timeout 20 ${stranger} socat -u SCTP:203.0.113.1:9000 - 2>/dev/null; do usleep 500000; done`);
      assertEquals(said, "over sctp\n");
      await stop(machine, "sctp");
      assertEquals(await leftovers(machine), []);
    });
    await t.step("faults are found that only such a kernel can have", async () => {
      await start(
        machine,
        "patient",
        "--networks=port-mapper-test --port_mappings=8080:80",
        webServer("patient"),
      );
      for (const fault of FAULTS) await finds(machine, fault);
      await stop(machine, "patient");
    });
  });
}

interface Fault {
  /** Makes the container ill; `$VETH` is its wire's end at the agent. */
  make: string;
  undo: string;
  /** The mechanism of a finding, and what its text has. */
  mechanism: string;
  text: RegExp;
}

const FAULTS: Fault[] = [
  {
    make: "tc qdisc add dev $VETH root netem loss 100%",
    undo: "tc qdisc del dev $VETH root",
    mechanism: "tc",
    text: /netem/,
  },
  {
    make: "ip link set mesos-cni0 type bridge vlan_filtering 1; bridge vlan del vid 1 dev $VETH",
    undo: "bridge vlan add vid 1 pvid untagged dev $VETH; " +
      "ip link set mesos-cni0 type bridge vlan_filtering 0",
    mechanism: "vlan",
    text: /VLAN/i,
  },
  {
    make: "tc qdisc add dev $VETH clsact; " +
      "tc filter add dev $VETH ingress protocol ip u32 match ip protocol 6 0xff action drop",
    undo: "tc qdisc del dev $VETH clsact",
    mechanism: "tc",
    text: /u32|tc/,
  },
  {
    make: "tc qdisc add dev $VETH clsact; " +
      "tc filter add dev $VETH egress protocol ip flower ip_proto tcp action drop",
    undo: "tc qdisc del dev $VETH clsact",
    mechanism: "tc",
    text: /flower|tc/,
  },
];

async function finds(machine: Machine, { make, undo, mechanism, text }: Fault): Promise<void> {
  const wire = "VETH=$(ip -o link show master mesos-cni0 | sed 's/^[0-9]*: \\([^@]*\\)@.*/\\1/')";
  await machine.ok(`${wire}; ${make}`);
  const { stdout, stderr } = await machine.run("mesos-cni diagnose patient --json");
  await machine.ok(`${wire}; ${undo}`);
  const found: Record<string, string>[] = JSON.parse(stdout || '{"findings":[]}').findings;
  const one = found.find((finding) => finding.mechanism === mechanism && !finding.consequenceOf);
  assertMatch(one?.text ?? "", text, `${make}\n${stdout}${stderr}`);
}
