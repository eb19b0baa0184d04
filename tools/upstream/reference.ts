/** The reference's suites, built for programs in place of its functions. */
import { exists } from "../../lib/base/exists.ts";
import { patch } from "./patch.ts";
import { directoryOf, PLUGINS, SUITES } from "./suites.ts";

/** The release that the integration suite is run with: the one that the reference's go.mod names. */
const CNITOOL = "github.com/containernetworking/cni/cnitool@v1.3.1";
const HERE = import.meta.dirname!;
/** What the build depends on, beside the reference. */
const SOURCES = ["patch.ts", "program.go", "suites.ts"];

export type Reference = ReturnType<typeof partsOf>;

/**
 * Builds the suites if they are not there yet.
 *
 * @param fetched where `setup_reference` (tools/setup/reference.sh) has put the sources and programs
 */
export async function buildSuites(fetched: string): Promise<Reference> {
  const reference = partsOf(`${fetched}/suites-${await fingerprint()}`, fetched);
  if (!exists(reference.directory)) await buildIn(fetched, reference.directory);
  await writeFailing(reference.failing);
  return reference;
}

async function buildIn(fetched: string, directory: string): Promise<void> {
  console.error("building the reference's suites (minutes, once) …");
  const work = await Deno.makeTempDir({ dir: fetched, prefix: "building." });
  try {
    await build(partsOf(work, fetched));
    await Deno.rename(work, directory);
  } catch (error) {
    await Deno.remove(work, { recursive: true });
    // Somebody else may have been quicker.
    if (!exists(directory)) throw error;
  }
}

async function writeFailing(directory: string): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  for (const plugin of PLUGINS) {
    const path = `${directory}/${plugin.split("/")[1]}`;
    const answer = '{"cniVersion":"1.1.0","code":999,"msg":"a program that always fails"}';
    await Deno.writeTextFile(path, `#!/bin/sh\necho '${answer}'\nexit 1\n`, { mode: 0o755 });
  }
}

async function build({ directory, sources, suites, tools }: Reference): Promise<void> {
  await run(["cp", "-r", `${directory}/../src`, sources]);
  await patch(sources, `${HERE}/program.go`);
  await Deno.mkdir(suites);
  const packages = SUITES.map((suite) => `./${directoryOf(suite)}`);
  await run(["go", "test", "-c", "-vet=off", "-o", `${suites}/`, ...packages], sources);
  for (const end of ["server", "client"]) {
    const echo = `./pkg/testutils/echo/${end}`;
    await run(["go", "build", "-o", `${tools}/echo-${end}`, echo], sources);
  }
  await run(["go", "install", CNITOOL], sources, { GOBIN: tools });
  await Deno.mkdir(`${sources}/bin`);
}

function partsOf(directory: string, fetched: string) {
  const part = (name: string) => `${directory}/${name}`;
  return {
    /** What is kept of the suites: their build, and what the controls said. */
    directory,
    /** Sources, in whose directories suites run. */
    sources: part("sources"),
    /** `SUITE.test` for each suite. */
    suites: part("suites"),
    /** The reference's own programs. */
    programs: `${fetched}/bin`,
    /** Programs that always fail. */
    failing: part("failing"),
    /** cnitool, and the programs that specs send packets with. */
    tools: part("tools"),
  };
}

async function fingerprint(): Promise<string> {
  const texts = await Promise.all(SOURCES.map((name) => Deno.readTextFile(`${HERE}/${name}`)));
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(texts.join()));
  return new Uint8Array(digest).toHex().slice(0, 12);
}

async function run(
  [program, ...args]: string[],
  cwd?: string,
  env?: Record<string, string>,
): Promise<string> {
  const command = new Deno.Command(program!, {
    args,
    cwd,
    // Static, as a machine of few libraries needs them.
    env: { CGO_ENABLED: "0", GOFLAGS: "-buildvcs=false", ...env },
    stderr: "inherit",
  });
  const { success, stdout } = await command.output();
  if (!success) throw new Error(`failed: ${program} ${args.join(" ")}`);
  return new TextDecoder().decode(stdout);
}
