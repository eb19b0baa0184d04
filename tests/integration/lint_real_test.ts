/**
 * The linter against configs of public repositories, of which half was set aside before rules
 * were looked at: no false error, and what is known to fail is one. What standard plugins make of
 * them is tried on the real ones, Debian's and ours.
 *
 * Before any rule was changed for them, 92 of 95 set aside and 92 of 96 others were judged right.
 */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { MESOS_CNI } from "../harness/binary.ts";
import { partOf } from "../harness/part.ts";
import type { Attachment } from "../fixtures/lint/attach.ts";
import { EVERYBODY, isHere, STANDARD, withPlugins } from "../fixtures/lint/plugins.ts";
import { breakages, type RealConfig, realConfigs, textOf } from "../fixtures/lint/corpus.ts";
import { lint } from "../../lib/lint/lint.ts";
import { mend } from "../../lib/lint/mend.ts";
import { SAFETIES, type Safety } from "../../lib/lint/rule.ts";
import { Settings } from "../../lib/lint/settings.ts";
import { Source } from "../../lib/lint/source.ts";

const CONFIGS = realConfigs();
/** The whole run takes minutes: by default a part of it. */
const EVERY = Deno.env.get("MESOS_CNI_TEST_SCALE") === "full" ? 1 : 6;
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

for (const who of EVERYBODY) {
  const ignore = !isHere(who);
  const name = `configs of standard plugins do on the real plugins (${who}) what the linter says`;
  Deno.test(name, { ignore }, async (t) => {
    const configs = partOf(CONFIGS.filter(isStandard).filter((_, i) => i % EVERY === 0), 4);
    // What a node of Kubernetes fills in is there for libcni alone.
    const errors = await errorsIn(configs, ({ given }) => given?.ipam ? "libcni" : "isolator");
    let agree = 0;
    let explained = 0;
    const wrong: string[] = [];
    await withPlugins(who, async (attach) => {
      for (const [i, config] of configs.entries()) {
        const { repo, path, differs } = config;
        const answer = await attach(attachment(config));
        if (answer !== null && errors[i]!.length === 0 && NOT_HERE.test(answer)) continue;
        const agrees = (answer === null) === (errors[i]!.length === 0);
        if (agrees) agree += 1;
        else if (differs?.[who]) explained += 1;
        else wrong.push(`${repo} ${path}: plugins: ${answer}; linter: ${errors[i]}`);
        if (agrees && differs?.[who]) wrong.push(`${repo} ${path} agrees: ${differs[who]}?`);
      }
    });
    await t.step(`${agree} agree, ${explained} differ and it is said why`, () => {
      assertEquals(wrong, []);
      assert(explained <= Math.max(1, 0.015 * agree));
    });
  });

  Deno.test(`nothing that --fix does makes a config work less with the real plugins (${who})`, {
    ignore,
  }, async (t) => {
    const changed = mendedConfigs ??= partOf(mended().filter((_, i) => i % EVERY === 0), 4);
    let taken = 0;
    const harmed: string[] = [];
    await withPlugins(who, async (attach) => {
      for (const { before, ...after } of changed) {
        if (await attach(attachment({ ...after, config: before })) !== null) continue;
        taken += 1;
        const why = await attach(attachment(after));
        // What a mended key asks for, this machine's kernel may not have.
        if (why !== null && !/operation not supported/.test(why)) {
          harmed.push(`${after.repo} ${after.path}: ${why}\n${after.text}`);
        }
      }
    });
    await t.step(
      `of ${changed.length} mended ones ${taken} were taken, and are taken still`,
      () => {
        assert(taken > 0);
        assertEquals(harmed, []);
      },
    );
  });
}

/** The same for all plugins. */
let mendedConfigs: ReturnType<typeof mended> | undefined;

/** Configs that --fix changes, each as it makes them. */
function mended() {
  const broken = breakages().map(({ id, text }) => ({ repo: id, path: "", config: parsed(text) }));
  return [...CONFIGS, ...broken].filter(isStandard).flatMap((config) => {
    const texts = [["safe"] as const, SAFETIES].map((all) => fixed(textOf(config), all));
    return [...new Set(texts)].filter((text) => text !== textOf(config))
      .map((text) => ({ ...config, text, before: config.config, config: parsed(text) }));
  });
}

/** What --fix makes of a config. */
function fixed(text: string, safeties: readonly Safety[]): string {
  const source = new Source({ path: "net.json", content: new TextEncoder().encode(text) });
  return mend([source], (sources) => lint(sources, new Settings()), safeties).repairs[0]?.text ??
    text;
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // of what nobody takes, nothing can be lost
  }
}

type Standard = Pick<RealConfig, "repo" | "path" | "config" | "given">;

/** Whether only plugins that are here have a say in it, whose daemons need not run. */
function isStandard({ config }: Pick<RealConfig, "config">): boolean {
  const plugins = config && (Array.isArray(config.plugins) ? config.plugins : [config]);
  return plugins?.every((plugin) =>
    STANDARD.has(plugin?.type) && (!plugin.ipam?.type || STANDARD.has(plugin.ipam.type))
  ) ?? false;
}

function attachment({ config, given }: Standard): Attachment {
  return {
    text: JSON.stringify(onThisMachine(config!, given?.ipam)),
    runtime: given?.runtime as Attachment["runtime"],
  };
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
