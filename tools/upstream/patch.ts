/**
 * Turns a copy of the reference's sources into suites that judge programs: each of a plugin's
 * functions for a command begins with a call of the program.
 */
import { NEEDS_MACHINE, PLUGINS } from "./suites.ts";

const MODULE = "github.com/containernetworking/plugins";
const COMMAND = /^func cmd(Add|Del|Check|GC|Status)\(\w+ \*skel\.CmdArgs\) error \{$/gm;
const BUILD = new RegExp(`gexec\\.Build\\("${MODULE}/`, "g");

/** @throws if the sources are not what this was written for */
export async function patch(sources: string, shim: string): Promise<void> {
  await Deno.mkdir(`${sources}/pkg/program`);
  await Deno.copyFile(shim, `${sources}/pkg/program/program.go`);
  for (const plugin of PLUGINS) await patchPlugin(`${sources}/plugins`, plugin);
  await patchFile(`${sources}/integration/integration_suite_test.go`, useBuilt);
  // The spec's own bus stands for the system's, which a program looks up.
  await patchFile(
    `${sources}/plugins/meta/firewall/firewall_firewalld_test.go`,
    (text) =>
      withImports(text, "os").replace(
        "\t\ttestConn = conn\n",
        '\t\ttestConn = conn\n\t\tos.Setenv("DBUS_SYSTEM_BUS_ADDRESS", busAddr)\n' +
          '\t\tDeferCleanup(os.Unsetenv, "DBUS_SYSTEM_BUS_ADDRESS")\n',
      ),
  );
}

async function patchPlugin(plugins: string, plugin: string): Promise<void> {
  const directory = `${plugins}/${plugin}`;
  const type = plugin.slice(plugin.indexOf("/") + 1);
  const commands = new Set<string>();
  for await (const { name } of Deno.readDir(directory)) {
    if (!name.endsWith(".go") || name.includes("windows")) continue;
    const path = `${directory}/${name}`;
    const text = await Deno.readTextFile(path);
    let patched = text;
    if (name.endsWith("_test.go")) {
      patched = useBuilt(useKnownKind(type, patched));
    } else {
      patched = text.replace(COMMAND, (_, command: string) => {
        commands.add(command);
        return `func cmd${command}(args *skel.CmdArgs) error {\n\tif program.IsGiven {\n\t\t` +
          `return program.Call("${type}", "${command.toUpperCase()}", args)\n\t}`;
      });
      if (patched !== text) patched = withImports(patched, `${MODULE}/pkg/program`);
    }
    if (patched !== text) await Deno.writeTextFile(path, patched);
  }
  for (const command of ["Add", "Del", "Check"]) {
    if (!commands.has(command)) throw new Error(`${plugin} has no cmd${command}`);
  }
}

/**
 * Many kernels have no dummy interfaces: specs that need just some interface take one of bandwidth's,
 * or a bridge where its hardware address is changed.
 */
function useKnownKind(type: string, text: string): string {
  if (NEEDS_MACHINE.includes(type)) return text;
  const kind = type === "tuning" ? "Bridge" : "Ifb";
  return text.replaceAll("netlink.Dummy{", `netlink.${kind}{`);
}

/** Suites that build programs get those that are there. */
function useBuilt(text: string): string {
  const patched = text.replace(BUILD, `program.Built("${MODULE}/`);
  if (patched === text) return text;
  return withImports(patched, `${MODULE}/pkg/program`);
}

function withImports(text: string, ...paths: string[]): string {
  const missing = paths.filter((path) => !text.includes(`"${path}"`));
  return text.replace(/^import \(\n/m, (line) => line + missing.map((p) => `\t"${p}"\n`).join(""));
}

async function patchFile(path: string, change: (text: string) => string): Promise<void> {
  const text = await Deno.readTextFile(path);
  const patched = change(text);
  if (patched === text) throw new Error(`${path} is not as it was when the patch was written`);
  await Deno.writeTextFile(path, patched);
}
