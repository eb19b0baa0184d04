/**
 * A disk that is full, a file system without inodes, a group without memory, a clock that jumps: an
 * attach fails and says why, and leaves nothing; a detach, recover and gc go on.
 */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import {
  example,
  install,
  leftovers,
  OBSERVER,
  outside,
  serves,
  start,
  stop,
  webServer,
} from "../harness/machine/agent.ts";
import { Machine } from "../harness/machine/machine.ts";
import { longMachineTest } from "../harness/machine/test.ts";

const WEB = (port: number) => `--networks=port-mapper-test --port_mappings=${port}:80`;
const attach = (id: string) => `mesos-cni run --name=${id} ${WEB(8081)} -- true`;
const ATTACH = attach("more");

longMachineTest("shortages", async (t) => {
  await using machine = await Machine.start({ parts: ["iptables"], files: OBSERVER });
  await machine.write("/etc/mesos-cni.json", '{"network_cni_root_dir_persist": true}');
  await install(machine, example("port-mapper-test"));
  const stranger = await outside(machine);

  const shortage = async (what: string, begin: string, end: string, said: RegExp) =>
    await t.step(what, async () => {
      await start(machine, "there", WEB(8080), webServer(what.replaceAll(" ", "-")));
      const before = await leftovers(machine);
      await machine.ok(begin);
      const { code, stderr } = await machine.run(ATTACH);
      assertNotEquals(code, 0, what);
      assertMatch(stderr, said);
      assertEquals(await leftovers(machine), before, `${what}: the failed attach left something`);
      await serves(machine, stranger, 8080, what.replaceAll(" ", "-"));
      await stop(machine, "there");
      assertEquals(await leftovers(machine), [], `${what}: the detach left something`);
      await machine.ok("mesos-cni isolator recover </dev/null && mesos-cni gc --apply");
      await machine.ok(end);
      await machine.ok(ATTACH);
      assertEquals(await leftovers(machine), []);
    });

  await shortage(
    "a full disk",
    "dd if=/dev/zero of=/filler bs=1M 2>/dev/null; while echo x >>/filler2; do :; done 2>/dev/null; sync",
    "rm /filler /filler2",
    /no space left|No space left|ENOSPC/,
  );
  await shortage(
    "no inodes",
    "mount -o remount,nr_inodes=$(df -i /run | awk 'NR == 2 { print $3 }') /run",
    "mount -o remount,nr_inodes=100000 /run",
    /no space left|No space left|ENOSPC/,
  );

  await t.step("no memory: whoever is killed for it leaves nothing behind", async () => {
    await machine.ok(`
      echo +memory >/sys/fs/cgroup/cgroup.subtree_control
      mkdir /sys/fs/cgroup/small`);
    let killed = 0;
    for (const mebibytes of [24, 48, 80]) {
      // With hardly enough, the kernel reads the program from the disk again and again: not for ever.
      const { code } = await machine.run(`
        cd /sys/fs/cgroup/small
        echo ${mebibytes}M >memory.max
        timeout -s KILL 40 sh -c 'echo $$ >cgroup.procs; exec ${
        attach(`in-${mebibytes}`)
      }' 2>/dev/null
        code=$?
        echo 1 >cgroup.kill
        exit $code`);
      if (code !== 0) killed++;
      await machine.ok("mesos-cni isolator recover </dev/null && mesos-cni gc --apply");
      assertEquals(await leftovers(machine), [], `${mebibytes} MiB`);
    }
    assert(killed > 0, "no limit was too small: the test shows nothing");
    await machine.ok(ATTACH);
  });

  for (const [what, jump] of [["ahead", 400 * 86_400], ["back", -800 * 86_400]] as const) {
    await t.step(`the clock jumps ${what}`, async () => {
      await start(machine, "there", WEB(8080), webServer(what));
      const info = JSON.stringify({
        container_info: { network_infos: [{ name: "port-mapper-test" }] },
      });
      await machine.ok(`echo '${info}' | mesos-cni isolator prepare launching`);
      await machine.ok(`date -s @$(($(date +%s) + ${jump}))`);
      await machine.ok("mesos-cni isolator recover </dev/null && mesos-cni gc --apply");
      // It is launched still, and not given up.
      await machine.ok(
        "mesos-cni list | grep -w launching && mesos-cni isolator cleanup launching",
      );
      await serves(machine, stranger, 8080, what);
      await machine.ok(ATTACH);
      // Killed with its network, by whoever: what it held is free, although its times are no times.
      await machine.ok(`
        start=$(cat /run/there.pid)
        kill -KILL $start $(cat /proc/$start/task/$start/children)`);
      await machine.ok("mesos-cni isolator recover </dev/null && mesos-cni gc --apply");
      assertEquals(await leftovers(machine), []);
    });
  }
});
