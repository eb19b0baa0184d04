/** `--mount` and control groups: the command is in the container's, or is not begun. */
import { assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { exists } from "../../lib/base/exists.ts";
import { isRunning } from "../harness/agent.ts";
import { MESOS_CNI } from "../harness/binary.ts";
import { confined } from "../harness/confined.ts";
import { NEEDS_ROOT } from "../harness/debian.ts";
import { Sandbox } from "../harness/sandbox.ts";

/** Where control groups can be made here: of version 1, of 2 beside it, of 2 alone. */
const HIERARCHIES = ["devices", "freezer", "unified", "."].map((name) => `/sys/fs/cgroup/${name}`)
  .filter((directory) => !NEEDS_ROOT && exists(`${directory}/cgroup.procs`));

Deno.test({
  name: "exec --mount: the command is in the container's control groups",
  ignore: HIERARCHIES.length === 0,
  sanitizeResources: false,
  async fn() {
    await using agent = await Sandbox.create();
    const container = await confined(agent);
    const exec = (...command: string[]) =>
      agent.run([MESOS_CNI, "exec", `--pid=${container.pid}`, "--mount", "--", ...command]);
    const groups = HIERARCHIES.map((directory) => `${directory}/mesos-cni-test-${container.pid}`);
    const say = (file: string, text: string) => {
      const group = groups.find((group) => exists(`${group}/${file}`));
      if (group) Deno.writeTextFileSync(`${group}/${file}`, text);
      return group !== undefined;
    };
    try {
      for (const group of groups) {
        Deno.mkdirSync(group);
        Deno.writeTextFileSync(`${group}/cgroup.procs`, `${container.pid}`);
      }
      const seen = (await exec("cat", "/proc/self/cgroup")).stdout;
      assertEquals(seen, (await exec("cat", "/proc/1/cgroup")).stdout);
      assertEquals(seen.split(`test-${container.pid}\n`).length - 1, groups.length, seen);

      // Where devices are kept from it, it opens none that it makes.
      await agent.ok(["mknod", `${agent.dir}/device`, "c", "1", "3"]);
      const open = ["sh", "-c", `: >${agent.dir}/device`];
      assertEquals((await exec(...open)).code, 0);
      if (say("devices.deny", "c 1:3 rwm")) assertNotEquals((await exec(...open)).code, 0);

      if (!say("freezer.state", "FROZEN")) say("cgroup.freeze", "1");
      const { code, stderr } = await exec("true");
      assertEquals(code, 1);
      assertMatch(
        stderr,
        /are frozen \(\/sys\/fs\/cgroup\/\S+ says (?:frozen 1|FROZEN)\), .*: thaw them/,
      );
    } finally {
      // What is frozen does not end.
      if (!say("freezer.state", "THAWED")) say("cgroup.freeze", "0");
      await container.end();
      while (isRunning(container.pid)) await new Promise((resolve) => setTimeout(resolve, 10));
      groups.forEach((group) => Deno.removeSync(group));
    }
  },
});

const PIDS = "/sys/fs/cgroup/pids";

Deno.test({
  name: "diagnose: a control group that has as many processes as may be",
  ignore: NEEDS_ROOT || !exists(`${PIDS}/cgroup.procs`),
  sanitizeResources: false,
  async fn() {
    await using agent = await Sandbox.create();
    const container = await confined(agent);
    const group = `${PIDS}/mesos-cni-test-${container.pid}`;
    const codes = async () => {
      const said = await agent.run([MESOS_CNI, "diagnose", `--pid=${container.pid}`, "--json"]);
      const findings: { code: string }[] = JSON.parse(said.stdout).findings;
      return findings.map(({ code }) => code).filter((code) => code === "cgroup_limit");
    };
    try {
      Deno.mkdirSync(group);
      Deno.writeTextFileSync(`${group}/cgroup.procs`, `${container.pid}`);
      assertEquals(await codes(), []);
      Deno.writeTextFileSync(`${group}/pids.max`, Deno.readTextFileSync(`${group}/pids.current`));
      assertEquals(await codes(), ["cgroup_limit"]);
    } finally {
      await container.end();
      while (isRunning(container.pid)) await new Promise((resolve) => setTimeout(resolve, 10));
      Deno.removeSync(group);
    }
  },
});

const FREEZER = "/sys/fs/cgroup/freezer";

Deno.test({
  name:
    "exec --mount: control groups are found where they are mounted, and missed where they aren't",
  ignore: !HIERARCHIES.includes(FREEZER) || !exists("/sys/fs/cgroup/systemd"),
  sanitizeResources: false,
  async fn() {
    await using agent = await Sandbox.create();
    const container = await confined(agent);
    const exec = (...before: string[]) =>
      agent.run([
        ...before,
        ...[
          MESOS_CNI,
          "exec",
          `--pid=${container.pid}`,
          "--mount",
          "--",
          "cat",
          "/proc/self/cgroup",
        ],
      ]);
    const name = `mesos-cni-test-${container.pid}`;
    const groups = [`${FREEZER}/${name}`, `/sys/fs/cgroup/systemd/${name}`];
    try {
      for (const group of groups) {
        Deno.mkdirSync(group);
        Deno.writeTextFileSync(`${group}/cgroup.procs`, `${container.pid}`);
      }
      // One that controls nothing may be missing, and another be elsewhere.
      const elsewhere = `${agent.dir}/freezer`;
      await agent.ok(["umount", "/sys/fs/cgroup/systemd"]);
      await agent.ok(["mkdir", elsewhere]);
      await agent.ok(["mount", "--bind", FREEZER, elsewhere]);
      await agent.ok(["umount", FREEZER]);
      const moved = await exec();
      assertEquals(moved.stderr, "");
      assertStringIncludes(moved.stdout, `freezer:/${name}\n`);

      // Seen from a cgroup namespace that it is not in.
      const outside =
        `mkdir -p ${elsewhere}/${name}-own; echo $$ >${elsewhere}/${name}-own/cgroup.procs`;
      const apart = await exec("sh", "-c", `${outside}; exec unshare --cgroup "$@"`, "sh");
      assertEquals(apart.code, 1);
      assertStringIncludes(apart.stderr, `control group /../${name} of freezer can't be entered`);
      assertStringIncludes(apart.stderr, "leave --mount away");

      await agent.ok(["mount", "-o", "remount,bind,ro", elsewhere]);
      const readOnly = await exec();
      assertEquals(readOnly.code, 1);
      assertStringIncludes(readOnly.stderr, `${elsewhere}/${name} can't be entered`);
      assertStringIncludes(readOnly.stderr, "EROFS");

      await agent.ok(["umount", elsewhere]);
      const missing = await exec();
      assertEquals(missing.code, 1);
      assertStringIncludes(missing.stderr, `control group /${name} of freezer can't be entered`);
      assertStringIncludes(missing.stderr, "not mounted here");
    } finally {
      await container.end();
      while (isRunning(container.pid)) await new Promise((resolve) => setTimeout(resolve, 10));
      for (const group of [...groups, `${groups[0]}-own`]) {
        if (exists(group)) Deno.removeSync(group);
      }
    }
  },
});
