/**
 * The linter against configs of public repositories, of which half was set aside before rules
 * were looked at: no false error, and what is known to fail is one. What standard plugins make of
 * them is tried on the real ones, Debian's and ours.
 *
 * Before any rule was changed for them, 92 of 95 set aside and 92 of 96 others were judged right.
 */
import { assert, assertEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { fromFileUrl, join } from "@std/path";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { Sandbox } from "../harness/sandbox.ts";
import { type RealConfig, realConfigs, textOf } from "../fixtures/lint/corpus.ts";
import { lint } from "../../lib/lint/lint.ts";
import { mend } from "../../lib/lint/mend.ts";
import { Settings } from "../../lib/lint/settings.ts";
import { Source } from "../../lib/lint/source.ts";
import { lines } from "../fixtures/lint/lines.ts";

const CONFIGS = realConfigs();
/** The whole run takes minutes: by default a part of it. */
const EVERY = Deno.env.get("MESOS_CNI_TEST_SCALE") === "full" ? 1 : 6;
const TYPES = "bridge ptp macvlan ipvlan vlan host-device loopback dummy tuning portmap firewall " +
  "bandwidth sbr vrf host-local static";
const STANDARD = new Set(TYPES.split(" "));
/** What is said where a device, a version or a daemon is not to be had; of the config, nothing. */
const NOT_HERE =
  /operation not supported|Unknown device type|incompatible CNI versions|firewalld|dbus|system bus|is not in \//;

/** The errors in each config, as the compiled program reports them, by its place in the list. */
async function errorsIn(
  configs: readonly RealConfig[],
  reader?: (config: RealConfig) => string | undefined,
): Promise<string[][]> {
  const root = await Deno.makeTempDir({ prefix: "mesos-cni-test-" });
  const errors: string[][] = configs.map(() => []);
  try {
    for (const who of new Set(configs.map((config) => reader?.(config)))) {
      const directories: string[] = [];
      for (const [i, config] of configs.entries()) {
        if (reader?.(config) !== who) continue;
        // Each one alone, since networks of one directory are compared.
        const directory = join(root, `${i}`);
        Deno.mkdirSync(directory);
        Deno.writeTextFileSync(join(directory, "net" + config.ext), textOf(config), {
          mode: 0o644,
        });
        directories.push(directory);
      }
      const { stdout } = await new Deno.Command(MESOS_CNI, {
        args: ["lint", "--json", ...who ? [`--for=${who}`] : [], ...directories],
      }).output();
      const { findings } = JSON.parse(new TextDecoder().decode(stdout)) as {
        findings: { file: string; code: string; severity: string; message: string }[];
      };
      for (const { file, code, severity, message } of findings) {
        if (severity !== "error") continue;
        errors[Number(file.slice(root.length + 1).split("/")[0])]!.push(`${code} ${message}`);
      }
    }
  } finally {
    await Deno.remove(root, { recursive: true });
  }
  return errors;
}

Deno.test("real configs: no false error, and what is known to fail is one", async (t) => {
  const repositories = new Set(CONFIGS.map((config) => config.repo));
  assert(CONFIGS.length >= 300 && repositories.size >= 40);
  const errors = await errorsIn(CONFIGS, (config) => config.for);
  const wrong = CONFIGS.flatMap(({ half, repo, path, expect, why }, i) =>
    (errors[i]!.length > 0) === (expect === "error")
      ? []
      : [`${half}, ${repo} ${path} is ${expect} (${why ?? ""}): ${errors[i]}`]
  );
  await t.step(`${CONFIGS.length} configs of ${repositories.size} repositories`, () => {
    assertEquals(wrong, []);
  });
});

const REFERENCE = fromFileUrl(new URL("../../.tools/reference/v1.10.0/bin", import.meta.url));

for (const who of ["debian", "ours", "newest"] as const) {
  // Built with Go by ./dev upstream; left out without it.
  const ignore = who === "newest" && !existsSync(REFERENCE);
  const name = `configs of standard plugins do on the real plugins (${who}) what the linter says`;
  Deno.test(name, { ignore }, async (t) => {
    const configs = CONFIGS.filter(isStandard).filter((_, i) => i % EVERY === 0);
    // What a node of Kubernetes fills in is there for libcni alone.
    const errors = await errorsIn(configs, ({ given }) => given?.ipam ? "libcni" : "isolator");
    const answers = await attachAll(configs, who);
    // Of what the plugins take, --fix takes nothing away.
    const mended = configs.filter((_, i) => answers[i] === null).flatMap((config) => {
      const text = fixed(textOf(config));
      return text === textOf(config) ? [] : [{ ...config, config: JSON.parse(text) }];
    });
    const after = await attachAll(mended, who);
    await t.step(`${mended.length} that --fix changes are taken as before`, () => {
      assert(mended.length > 0);
      assertEquals(after.filter((answer) => answer !== null), []);
    });
    let agree = 0;
    let explained = 0;
    const wrong: string[] = [];
    for (const [i, { repo, path, differs }] of configs.entries()) {
      const answer = answers[i]!;
      if (answer !== null && errors[i]!.length === 0 && NOT_HERE.test(answer)) continue;
      const agrees = (answer === null) === (errors[i]!.length === 0);
      if (agrees) agree += 1;
      else if (differs?.[who]) explained += 1;
      else wrong.push(`${repo} ${path}: plugins: ${answer}; linter: ${errors[i]}`);
      if (agrees && differs?.[who]) wrong.push(`${repo} ${path} agrees: ${differs[who]}?`);
    }
    await t.step(`${agree} agree, ${explained} differ and it is said why`, () => {
      assertEquals(wrong, []);
      assert(explained <= Math.max(1, 0.015 * agree));
    });
  });
}

/** What --fix makes of a config. */
function fixed(text: string): string {
  const source = new Source({ path: "net.json", content: new TextEncoder().encode(text) });
  return mend([source], (sources) => lint(sources, new Settings()), ["safe"]).repairs[0]?.text ??
    text;
}

/** Whether only plugins that are here have a say in it, whose daemons need not run. */
function isStandard({ config }: RealConfig): boolean {
  const plugins = config && (Array.isArray(config.plugins) ? config.plugins : [config]);
  return plugins !== undefined &&
    plugins.every(({ type, ipam }) =>
      STANDARD.has(type) && (!ipam?.type || STANDARD.has(ipam.type))
    );
}

/** What the plugins answered to each: null, or why not. */
async function attachAll(
  configs: readonly RealConfig[],
  who: "debian" | "ours" | "newest",
): Promise<(string | null)[]> {
  await using agent = await Sandbox.create();
  let directory = who === "newest" ? REFERENCE : CNI_PLUGINS;
  if (who === "ours") {
    directory = join(agent.dir, "plugins");
    Deno.mkdirSync(directory);
    for (const type of STANDARD) Deno.symlinkSync(MESOS_CNI, join(directory, type));
  }
  const program = fromFileUrl(new URL("../fixtures/lint/attach.ts", import.meta.url));
  const plugins = agent.spawn([
    Deno.execPath(),
    ..."run --quiet --no-check --no-lock --cached-only --allow-all".split(" "),
    program,
    directory,
  ]);
  const writer = plugins.stdin.getWriter();
  const output = lines(plugins.stdout);
  const answers: (string | null)[] = [];
  for (const { config, given } of configs) {
    const line = JSON.stringify({
      text: JSON.stringify(onThisMachine(config!, given?.ipam)),
      runtime: given?.runtime,
    });
    await writer.write(new TextEncoder().encode(line + "\n"));
    const { value, done } = await output.next();
    if (done) throw new Error(await new Response(plugins.stderr).text());
    answers.push(JSON.parse(value));
  }
  await writer.close();
  await plugins.stderr.cancel();
  assertEquals((await plugins.status).code, 0);
  return answers;
}

/** With the devices that the sandbox has, addresses kept where it forgets them, and `ipam` whole. */
function onThisMachine(
  config: Record<string, unknown>,
  ipam: Record<string, unknown> = {},
): Record<string, unknown> {
  // deno-lint-ignore no-explicit-any -- whatever a config holds
  const adapted = (plugin: any) => ({
    ...plugin,
    ..."master" in plugin && { master: "eth0" },
    ..."device" in plugin && { device: "spare0" },
    ...plugin.ipam?.type && { ipam: { ...plugin.ipam, dataDir: undefined, ...ipam } },
  });
  return Array.isArray(config.plugins)
    ? { ...config, plugins: config.plugins.map(adapted) }
    : adapted(config);
}
