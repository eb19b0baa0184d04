/** Kinds of interfaces that this machine's kernel may lack: killed while they are made and removed. */
import { assert, assertEquals } from "@std/assert";
import { install, leftovers, OBSERVER, outside } from "../harness/machine/agent.ts";
import { IN_VRF, NETWORKS, networks } from "../harness/machine/kinds.ts";
import { Machine } from "../harness/machine/machine.ts";
import { longMachineTest } from "../harness/machine/test.ts";
import { FULL } from "../harness/scale.ts";

/** Moments at which each kind is killed, spread over its requests to the kernel. */
const MOMENTS = FULL ? 6 : 2;

longMachineTest(
  "kinds of interfaces that this machine may lack, killed at their requests",
  async (t) => {
    const parts = ["iptables", "iproute2", "strace"] as const;
    await using machine = await Machine.start({ parts, files: OBSERVER });
    await install(machine, IN_VRF, ...networks());
    await outside(machine);
    for (const name of [...Object.keys(NETWORKS), "vrf"]) {
      await t.step(name, async () => {
        const run = `mesos-cni run --networks=${name} -- true`;
        const state = async () => [
          await leftovers(machine),
          await machine.ok("ip -o link | cut -d: -f2 | sort"),
        ];
        await machine.ok(run);
        const before = await state();
        const strace = "strace -qq -e trace=sendto";
        const requests = Number(
          await machine.ok(`${strace} -o /run/trace ${run}; grep -c 'sendto(' /run/trace`),
        );
        let killed = 0;
        for (let i = 0; i < MOMENTS; i++) {
          const moment = 1 + Math.floor(i * requests / MOMENTS);
          const inject = `-o /dev/null -e inject=sendto:signal=KILL:when=${moment}`;
          if ((await machine.run(`${strace} ${inject} ${run}`)).code !== 0) killed++;
          await machine.ok("mesos-cni isolator recover </dev/null && mesos-cni gc --apply");
          assertEquals(await state(), before, `killed at request ${moment} of ${requests}`);
        }
        assert(killed > MOMENTS / 2, `only ${killed} were killed`);
        await machine.ok(run);
      });
    }
  },
);
