import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { Sandbox } from "../harness/sandbox.ts";

/** An agent with two containers and the examples' networks, and a completion script. */
async function withScript(shell: string) {
  const agent = await Sandbox.create();
  for (const id of ["web-1", "web-2", "db-1"]) {
    await agent.ok(["mkdir", "-p", `/run/mesos/isolators/network/cni/${id}`]);
  }
  const script = `${agent.dir}/script`;
  await Deno.writeTextFile(script, await agent.ok([MESOS_CNI, "completions", shell]));
  await Deno.symlink(MESOS_CNI, `${agent.dir}/mesos-cni`);
  return { agent, script, env: { PATH: `${agent.dir}:${Deno.env.get("PATH")}` } };
}

const LINES: readonly [line: string, expected: string[]][] = [
  ["mesos-cni unins", ["uninstall"]],
  ["mesos-cni netns insp", ["inspect"]],
  ["mesos-cni run --hostn", ["--hostname="]],
];

Deno.test("bash completes commands, flags, container ids and network names", async () => {
  const { agent, script, env } = await withScript("bash");
  await using _ = agent;
  const complete = async (line: string) => {
    const program = [
      "compopt() { :; }", // there is no completion under way for it to change
      `source ${script}`,
      `COMP_LINE=$1 COMP_POINT=\${#1}`,
      "_mesos_cni",
      'printf "%s\\n" "${COMPREPLY[@]}"',
    ].join("\n");
    return (await agent.ok(["bash", "-c", program, "bash", line], { env })).trim().split("\n");
  };
  for (const [line, expected] of LINES) assertEquals(await complete(line), expected);
  const ids = "mesos-cni isolator status --runtime_dir=/run/mesos web-";
  assertEquals(await complete(ids), ["web-1", "web-2"]);
  const networks = `--network_cni_config_dir=${Deno.cwd()}/examples/networks`;
  assertEquals(await complete(`mesos-cni run ${networks} --networks=cni-t`), ["cni-test"]);
  const listed = await complete(`mesos-cni run ${networks} --networks=cni-test,port-m`);
  assertEquals(listed, ["cni-test,port-mapper-test"]);
});

Deno.test("fish completes commands, flags and container ids", async () => {
  const { agent, script, env } = await withScript("fish");
  await using _ = agent;
  await agent.ok(["mkdir", "-p", "/run/home"]);
  const complete = async (line: string) =>
    (await agent.ok(["fish", "--no-config", "-c", `source ${script}; complete -C '${line}'`], {
      env: { ...env, HOME: "/run/home" },
    })).trim().split("\n");
  for (const [line, expected] of LINES) assertEquals(await complete(line), expected);
  const ids = "mesos-cni isolator status --runtime_dir=/run/mesos web-";
  assertEquals(await complete(ids), ["web-1", "web-2"]);
});

Deno.test("zsh loads its script and asks the program", async () => {
  const { agent, script, env } = await withScript("zsh");
  await using _ = agent;
  // The candidates as zsh's completion would be given them.
  const program = [
    "autoload -U compinit; compinit -u -D",
    `source ${script}`,
    "compadd() { print -l -- ${@[-1]} }",
    "words=(mesos-cni netns insp) CURRENT=3",
    "_mesos_cni",
    "print -- registered ${_comps[mesos-cni]}",
  ].join("\n");
  const output = await agent.run(["zsh", "-f", "-c", program], { env });
  assertStringIncludes(output.stdout, "inspect");
  assertStringIncludes(output.stdout, "registered _mesos_cni");
  assertEquals(output.stderr, "");
});

Deno.test("the manual page renders without a warning and names every command", async () => {
  const page = new TextDecoder().decode(
    (await new Deno.Command(MESOS_CNI, { args: ["man"] }).output()).stdout,
  );
  const child = new Deno.Command("groff", {
    args: ["-man", "-ww", "-Kutf8", "-Tutf8"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(page));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  assertEquals(new TextDecoder().decode(stderr), "");
  assertEquals(code, 0);
  // deno-lint-ignore no-control-regex
  const text = new TextDecoder().decode(stdout).replaceAll(/\x1b\[[0-9;]*m|.\x08/g, "");
  for (const name of ["run", "isolator cleanup", "netns inspect", "lint", "install"]) {
    assert(text.includes(`mesos-cni ${name}`), `${name} is in the manual page`);
  }
});
