/** `./dev release`: what is published of a version, in dist/release. See README.md beside this. */
import $ from "@david/dax";
import { fromFileUrl, join } from "@std/path";
import { sha256 } from "../../lib/install/files.ts";
import { VERSION } from "../../lib/base/version.ts";
import { packagesOf } from "./packages.ts";
import { compile, makeWorkplace, type Std, TARGETS, type Workplace } from "./compile.ts";
import { DEBIAN_ARCH, makeDeb } from "./deb.ts";
import { notices } from "./notices.ts";
import { type Release, sbom } from "./sbom.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
/** Its name is part of the binaries: it must be the same on every machine. */
const WORKPLACE = "/tmp/mesos-cni-release";
/** Makes the same files of whatever is there, to try the making. They are not to be published. */
const REHEARSAL = "--rehearsal";

const [std, ...rest] = Deno.args as [Std, ...string[]];
const isRehearsal = rest.includes(REHEARSAL);
const OUTPUT = join(ROOT, isRehearsal ? "dist/rehearsal" : "dist/release");

try {
  if (!isRehearsal) refuseStandIns();
  await release(rest.filter((flag) => flag !== REHEARSAL));
} catch (error) {
  console.error(`release: ${error instanceof Error ? error.message : error}`);
  Deno.exit(1);
}

function refuseStandIns(): void {
  const instead = `To try the making of a release without them: ./dev release ${REHEARSAL}`;
  if (Deno.env.get("DENORT_BIN")) {
    throw new Error(
      "DENORT_BIN is set. A release is made on the base binary that Deno publishes with " +
        `${Deno.version.deno}, and on no other: unset it. ${instead}`,
    );
  }
  if (std !== "jsr") {
    throw new Error(
      "JSR is out of reach (or was when `.tools` was made), so that @std is our own modules of " +
        `tools/closed_network. A release has the real ones. ${instead}`,
    );
  }
}

async function release(permissions: readonly string[]): Promise<void> {
  const changes = await $`git -C ${ROOT} status --porcelain`.text();
  if (changes !== "") {
    throw new Error(`a release is made of a commit, and there are changes:\n${changes}`);
  }
  const commit = (await $`git -C ${ROOT} rev-parse HEAD`.text()).trim();
  const date = (await $`git -C ${ROOT} show -s --format=%cI HEAD`.text()).trim();
  await Deno.remove(OUTPUT, { recursive: true }).catch(() => {}); // there may be none
  await makeEmpty(WORKPLACE);
  try {
    await Deno.mkdir(OUTPUT, { recursive: true });
    await make(await makeWorkplace(ROOT, commit, join(WORKPLACE, "build"), std), permissions, {
      version: VERSION,
      commit,
      date: new Date(date).toISOString(),
      deno: Deno.version.deno,
    });
    console.log(`${OUTPUT}: ${VERSION} of commit ${commit}`);
  } catch (error) {
    await Deno.remove(OUTPUT, { recursive: true });
    throw error;
  } finally {
    await Deno.remove(WORKPLACE, { recursive: true });
  }
}

async function makeEmpty(directory: string): Promise<void> {
  try {
    await Deno.mkdir(directory, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw new Error(`${directory} is there: another release is being made, or one broke off`);
  }
}

async function make(
  workplace: Workplace,
  permissions: readonly string[],
  about: Omit<Release, "binaries">,
): Promise<void> {
  const binaries: Record<string, string> = {};
  for (const [arch, target] of Object.entries(TARGETS)) {
    // A base binary of somebody's own is that of one architecture.
    if (Deno.env.get("DENORT_BIN") && target !== Deno.build.target) continue;
    const name = `mesos-cni-${VERSION}-linux-${arch}`;
    console.log(`compiling ${name} …`);
    await compile(workplace, target, permissions, join(OUTPUT, name));
    binaries[name] = sha256(await Deno.readFile(join(OUTPUT, name)));
  }
  const packages = await packagesOf(workplace.lock, workplace.cache);
  const bill = JSON.stringify(sbom({ ...about, binaries }, packages), null, 2) + "\n";
  await Deno.writeTextFile(join(OUTPUT, `mesos-cni-${VERSION}.cdx.json`), bill);
  await Deno.writeTextFile(
    join(OUTPUT, "THIRD_PARTY_NOTICES.txt"),
    notices(about.deno, packages),
  );
  await Deno.copyFile(join(ROOT, "LICENSE"), join(OUTPUT, "LICENSE"));
  await makeDebs(Object.keys(binaries), about.date);
  await writeChecksums();
}

/** A Debian package of each binary. */
async function makeDebs(names: readonly string[], date: string): Promise<void> {
  for (const name of names) {
    const arch = DEBIAN_ARCH[name.slice(name.lastIndexOf("-") + 1)]!;
    const workplace = await Deno.makeTempDir({ dir: WORKPLACE });
    await makeDeb({
      binary: join(OUTPUT, name),
      version: VERSION,
      arch,
      time: Math.floor(Date.parse(date) / 1000),
      license: await Deno.readTextFile(join(ROOT, "LICENSE")),
      notices: await Deno.readTextFile(join(OUTPUT, "THIRD_PARTY_NOTICES.txt")),
      workplace,
      output: join(OUTPUT, `mesos-cni_${VERSION}_${arch}.deb`),
    });
  }
}

async function writeChecksums(): Promise<void> {
  const names = [...Deno.readDirSync(OUTPUT)].map(({ name }) => name).sort();
  const lines = names.map((name) => `${sha256(Deno.readFileSync(join(OUTPUT, name)))}  ${name}\n`);
  await Deno.writeTextFile(join(OUTPUT, "SHA256SUMS"), lines.join(""));
}
