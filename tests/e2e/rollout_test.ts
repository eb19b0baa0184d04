/** The Ansible role and the package repository of the guide, on throwaway machines. Skipped without their tools. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { exists } from "../../lib/base/exists.ts";
import { MESOS_CNI } from "../harness/binary.ts";
import { debOf, dpkg, machine, NEEDS_ROOT, packageOf } from "../harness/debian.ts";
import { readMarkdown } from "../docs/markdown.ts";
import { partOf } from "../harness/part.ts";
import type { Sandbox } from "../harness/sandbox.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/** What rolls a package out, as the README of the example has it, to machines like those of these tests. */
function playbook(
  inventory: string,
  deb: string,
  more: Record<string, string> = {},
): [string, ...string[]] {
  const settings = {
    mesos_cni_deb: deb,
    mesos_cni_packages: "/run/packages",
    mesos_cni_dpkg: dpkg(),
    ansible_become: false,
    ansible_python_interpreter: "/usr/bin/python3",
    ...more,
  };
  const file = `${ROOT}examples/fleet/rollout.yml`;
  const vars = JSON.stringify(settings);
  return ["ansible-playbook", `--inventory=${inventory}`, file, "--extra-vars", vars];
}

const environment = (home: string) => ({
  HOME: home,
  ANSIBLE_LOCAL_TEMP: `${home}/ansible`,
  ANSIBLE_REMOTE_TMP: "/run/ansible",
  ANSIBLE_PIPELINING: "True", // a call for each task, instead of five
  LC_ALL: "C.UTF-8",
});

Deno.test({
  name: "a rollout installs the package of a release",
  ignore: NEEDS_ROOT || !exists("/usr/bin/ansible-playbook"),
  async fn() {
    await using host = await machine();
    const good = await packageOf(host, MESOS_CNI, "0.1.0");
    await Deno.writeTextFile(
      `${host.dir}/inventory`,
      "[agents]\nagent-1 ansible_connection=local\n",
    );
    const command = playbook(`${host.dir}/inventory`, good);
    const first = await host.run(command, { env: environment("/run") });
    assertEquals(first.code, 0, first.stdout + first.stderr);
    assertStringIncludes(await host.ok(["mesos-cni", "version"]), "mesos-cni 0.1.0");

    assertEquals((await host.run(dpkg("--verify", "mesos-cni"))).stdout, "");
  },
});

/**
 * A program that says of its machine what the test has written there, and which of its versions was asked.
 * 0.1.9 is worse than the one before where /run/ill is. It does not go where /run/attached is, as of an
 * agent that has containers.
 */
const STATUS = (version: string) =>
  `#!/bin/sh
case "$*" in
  "status --json") ;;
  uninstall*) [ ! -e /run/attached ]; exit ;;
  *) exit 0 ;;
esac
echo ${version} >>/run/asked
[ ${version} = 0.1.9 ] && [ -e /run/ill ] && cause='{"code":"forwarding_off"}'
echo '{"causes":['"$cause"'],"containers":{"unwell":[]}}'
`;

/** Three agents, which an ssh of the test's own leads to. */
class Agents implements AsyncDisposable {
  readonly hosts: Sandbox[] = [];
  readonly dir = Deno.makeTempDirSync({ prefix: "mesos-cni-test-" });

  static async open(): Promise<Agents> {
    const agents = new Agents();
    for (let i = 1; i <= 3; i++) {
      const host = await machine();
      agents.hosts.push(host);
      await Deno.writeTextFile(`${agents.dir}/agent-${i}`, `${host.pid}`);
    }
    await Deno.writeTextFile(`${agents.dir}/inventory`, "[agents]\nagent-[1:3]\n");
    // The last two of its words are the host and the command.
    await Deno.writeTextFile(
      `${agents.dir}/ssh`,
      `#!/bin/bash
exec nsenter --target=$(cat ${agents.dir}/"\${@: -2:1}") --net --mount -- sh -c "\${@: -1}"
`,
      { mode: 0o755 },
    );
    return agents;
  }

  async package(version: string): Promise<string> {
    const program = `${this.dir}/program-${version}`;
    await Deno.writeTextFile(program, STATUS(version), { mode: 0o755 });
    return await debOf(this.hosts[0]!, program, version);
  }

  /** @returns its exit code and what it printed */
  async roll(deb: string): Promise<{ code: number; text: string }> {
    const [program, ...args] = playbook(`${this.dir}/inventory`, deb, {
      ansible_ssh_executable: `${this.dir}/ssh`,
      ansible_ssh_transfer_method: "piped",
    });
    const env = environment(this.dir);
    const { code, stdout, stderr } = await new Deno.Command(program, { args, env }).output();
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    return { code, text };
  }

  /** The version that each has, and whose versions were asked for a status since the last look. */
  async look(): Promise<string[]> {
    return await Promise.all(this.hosts.map(async (host) => {
      const query = ["dpkg-query", "--admindir=/run/dpkg", "--showformat=${Version}", "--show"];
      const version = (await host.run([...query, "mesos-cni"])).stdout;
      const asked = (await host.run(["cat", "/run/asked"])).stdout.trim().split("\n");
      await host.ok(["rm", "-f", "/run/asked"]);
      return `${version || "none"}: ${asked.join(" ")}`;
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.hosts) await host[Symbol.asyncDispose]();
    await Deno.remove(this.dir, { recursive: true });
  }
}

Deno.test({
  name:
    "the first agent that is worse goes back, those before it stay, and those after it are not touched",
  ignore: NEEDS_ROOT || !exists("/usr/bin/ansible-playbook"),
  async fn() {
    await using agents = await Agents.open();
    const [first, second] = agents.hosts as [Sandbox, Sandbox];
    const old = await agents.package("0.1.0");
    const next = await agents.package("0.1.9");
    const ill = async (host: Sandbox, deb: string) => {
      await host.ok(["touch", "/run/ill"]);
      const { code, text } = await agents.roll(deb);
      await host.ok(["rm", "/run/ill"]);
      assert(code !== 0, text);
      assertStringIncludes(text, "worse than before: forwarding_off");
      return text;
    };

    // What the canary has, before it gets what makes it ill.
    const before = partOf(["none, and keeps it", "none", "another"], 3);
    if (before.includes("none, and keeps it")) {
      await first.ok(["touch", "/run/attached"]);
      const said = await ill(first, next);
      assertStringIncludes(said, "; the new package stays: dpkg: error processing");
      assertEquals(await agents.look(), ["0.1.9: 0.1.9", "none: ", "none: "]);
      await first.ok(["rm", "/run/attached"]);
      await first.ok(dpkg("--purge", "mesos-cni"));
    }
    if (before.includes("none")) {
      await ill(first, next);
      assertEquals(await agents.look(), ["none: 0.1.9", "none: ", "none: "]);
    }

    const { code, text } = await agents.roll(old);
    assertEquals(code, 0, text);
    assertEquals(await agents.look(), ["0.1.0: 0.1.0", "0.1.0: 0.1.0", "0.1.0: 0.1.0"]);

    if (before.includes("another")) {
      await ill(first, next);
      assertEquals(await agents.look(), ["0.1.0: 0.1.0 0.1.9", "0.1.0: ", "0.1.0: "]);
    }

    await ill(second, next);
    assertEquals(await agents.look(), ["0.1.9: 0.1.0 0.1.9", "0.1.0: 0.1.0 0.1.9", "0.1.0: "]);

    for (const host of agents.hosts) {
      assertEquals((await host.run(dpkg("--verify", "mesos-cni"))).stdout, "");
    }
  },
});

Deno.test({
  name: "one command of the guide makes a signed repository, which apt takes",
  ignore: NEEDS_ROOT || !exists("/usr/bin/apt-ftparchive") || !exists("/usr/bin/gpg"),
  async fn() {
    await using host = await machine();
    const { blocks } = readMarkdown(await Deno.readTextFile(`${ROOT}docs/guides.md`));
    const [command] = blocks.filter(({ info }) => info.includes("repository"));
    const deb = await packageOf(host, MESOS_CNI, "0.1.0");
    const env = { HOME: "/run", GNUPGHOME: "/run/gnupg" };
    await host.ok([
      "sh",
      "-ec",
      `mkdir -p /run/repository/dist/release; mv ${deb} /run/repository/dist/release
      mkdir -m 700 /run/gnupg
      gpg --batch --quiet --passphrase '' --quick-generate-key packages@example.com ed25519 sign never
      gpg --export >/run/key.gpg`,
    ], { env });
    await host.ok(["sh", "-ec", `cd /run/repository; ${command!.text}`], { env });
    const apt = (signedBy: string) =>
      host.run([
        "sh",
        "-ec",
        `mkdir -p /run/apt/lists/partial /run/apt/cache/archives/partial /run/apt/parts
        echo 'deb [signed-by=${signedBy}] file:/run/repository/dist/release ./' >/run/apt/sources
        o="-o Dir::Etc::sourcelist=/run/apt/sources -o Dir::Etc::sourceparts=/run/apt/parts -o Dir::State::lists=/run/apt/lists
        -o Dir::Cache=/run/apt/cache -o Dir::State::status=/run/dpkg/status -o APT::Sandbox::User=root"
        apt-get $o -o APT::Update::Error-Mode=any update && apt-cache $o policy mesos-cni`,
      ]);
    const taken = await apt("/run/key.gpg");
    assertEquals(taken.code, 0, taken.stdout + taken.stderr);
    assertStringIncludes(taken.stdout, "Candidate: 0.1.0");
    await host.ok(["sh", "-ec", "rm -r /run/apt; : >/run/none.gpg"]);
    assert((await apt("/run/none.gpg")).code !== 0, "apt takes what nobody has signed");
  },
});
