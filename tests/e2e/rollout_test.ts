/** The Ansible role and the package repository of the guide, on throwaway machines. Skipped without their tools. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { exists } from "../../lib/base/exists.ts";
import { MESOS_CNI } from "../harness/binary.ts";
import { debOf, dpkg, machine, NEEDS_ROOT } from "../harness/debian.ts";
import { readMarkdown } from "../docs/markdown.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

Deno.test({
  name: "a rollout goes to an agent that is well after it, and back where it is not",
  ignore: NEEDS_ROOT || !exists("/usr/bin/ansible-playbook"),
  async fn() {
    await using host = await machine();
    const good = await debOf(host, MESOS_CNI, "0.1.0", { compression: "none" });
    const broken = `${host.dir}/broken`;
    const status = { causes: [{ code: "forwarding_off" }], containers: { unwell: [] } };
    await Deno.writeTextFile(broken, `#!/bin/sh\necho '${JSON.stringify(status)}'\nexit 1\n`, {
      mode: 0o755,
    });
    const bad = await debOf(host, broken, "0.1.9", { compression: "none" });
    await Deno.writeTextFile(
      `${host.dir}/inventory`,
      "[agents]\nagent-1 ansible_connection=local\n",
    );
    const roll = (deb: string) =>
      host.run([
        "ansible-playbook",
        `--inventory=${host.dir}/inventory`,
        `${ROOT}examples/fleet/rollout.yml`,
        "--extra-vars",
        JSON.stringify({
          mesos_cni_deb: deb,
          mesos_cni_packages: "/run/packages",
          mesos_cni_dpkg: dpkg(),
          ansible_become: false,
          ansible_python_interpreter: "/usr/bin/python3",
        }),
      ], {
        env: {
          HOME: "/run",
          ANSIBLE_LOCAL_TEMP: "/run/ansible",
          ANSIBLE_REMOTE_TMP: "/run/ansible",
          LC_ALL: "C.UTF-8",
        },
      });
    const first = await roll(good);
    assertEquals(first.code, 0, first.stdout + first.stderr);
    assertStringIncludes(await host.ok(["mesos-cni", "version"]), "mesos-cni 0.1.0");

    const second = await roll(bad);
    assert(second.code !== 0, second.stdout);
    assertStringIncludes(second.stdout, "worse than before: forwarding_off");
    assertStringIncludes(await host.ok(["mesos-cni", "version"]), "mesos-cni 0.1.0");
    assertEquals((await host.run(dpkg("--verify", "mesos-cni"))).stdout, "");
  },
});

Deno.test({
  name: "one command of the guide makes a signed repository, which apt takes",
  ignore: NEEDS_ROOT || !exists("/usr/bin/apt-ftparchive") || !exists("/usr/bin/gpg"),
  async fn() {
    await using host = await machine();
    const { blocks } = readMarkdown(await Deno.readTextFile(`${ROOT}docs/guides.md`));
    const [command] = blocks.filter(({ info }) => info.includes("repository"));
    const deb = await debOf(host, MESOS_CNI, "0.1.0", { compression: "none" });
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
