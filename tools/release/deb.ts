/**
 * A Debian package of one binary: the same pieces as `mesos-cni install` puts on a machine, at
 * the places of a package. Made with dpkg-deb, the same bytes from the same files and time.
 */
import { gzipSync } from "node:zlib";
import { join } from "@std/path";
import { SCRIPTS } from "../../lib/cli/completions.ts";
import { manualPage } from "../../lib/cli/man.ts";
import { SETTINGS_FILE } from "../../lib/cli/found_values.ts";
import { TABLE } from "../../lib/cli/table.ts";
import { launcherBytes, launcherOf, MARK } from "../../lib/cni/launcher.ts";
import { sha256 } from "../../lib/install/files.ts";
import { MANIFEST } from "../../lib/install/manifest.ts";
import { METRICS_FILE, units } from "../../lib/install/units.ts";
import { REGISTRY } from "../../plugins/registry.ts";

/** Debian's names of the architectures that releases are made for, and launchers' for those. */
export const DEBIAN_ARCH: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };
const LAUNCHER_ARCH = { amd64: "x86_64", arm64: "aarch64" } as const;

export interface DebOptions {
  /** The compiled program. */
  binary: string;
  version: string;
  /** Debian's name. */
  arch: string;
  /** Seconds since 1970: of all files in the package. */
  time: number;
  license: string;
  notices: string;
  /** An empty directory to build in, and the file to make. */
  workplace: string;
  output: string;
  /** Of the files in it; a package of tests needs none, which takes a tenth of the time. */
  compression?: "xz" | "none";
}

const MAINTAINER = "the mesos-cni authors <mesos-cni@localhost>";

/** The plugins in the program, for an agent's --network_cni_plugins_dir. */
const PLUGINS = "/usr/lib/mesos-cni/plugins";

const SETTINGS =
  `// What mesos-cni takes for its flags on this agent, by name. Lines that begin with // are remarks.
// A flag of the call goes before, and MESOS_NAME of the environment; what none of them says is taken from
// the running agent. See: mesos-cni config
{
  // Where the networks are:
  // "network_cni_config_dir": "/etc/mesos/cni",
  // Where plugins are, the first one that is found. Those of this package are in ${PLUGINS}:
  // "network_cni_plugins_dir": "/usr/lib/cni:${PLUGINS}"
}
`;

/** @throws {Error} if dpkg-deb is not installed, or refuses */
export async function makeDeb(options: DebOptions): Promise<void> {
  const { binary, version, arch, time, license, notices, workplace, output } = options;
  const compressed = options.compression === "none" ? ["-Znone"] : ["-Zxz", "-z1"];
  const root = join(workplace, "root");
  const write = async (path: string, text: string | Uint8Array, mode = 0o644) => {
    const file = join(root, path);
    await Deno.mkdir(join(file, ".."), { recursive: true });
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    await Deno.writeFile(file, bytes);
    await Deno.chmod(file, mode);
  };
  const link = async (path: string, target: string) => {
    await Deno.mkdir(join(root, path, ".."), { recursive: true });
    await Deno.symlink(target, join(root, path));
  };

  // A program that is just starting opens its own file once more: an upgrade brings another name,
  // and dpkg removes the old one when the new one is in place.
  const bytes = await Deno.readFile(binary);
  const name = `mesos-cni-${sha256(bytes).slice(0, 12)}`;
  await write(`usr/lib/mesos-cni/${name}`, bytes, 0o755);
  await link("usr/bin/mesos-cni", `../lib/mesos-cni/${name}`);
  for (const type of REGISTRY.values()) {
    if (!type.load) continue;
    const launcher = launcherBytes(
      launcherOf(type, "/usr/bin/mesos-cni"),
      LAUNCHER_ARCH[arch as keyof typeof LAUNCHER_ARCH],
    );
    if (!type.standard) await write(`usr/lib/cni/${type.type}`, launcher, 0o755);
    // Beside the directory of containernetworking-plugins, whose files have the same names.
    await write(`${PLUGINS.slice(1)}/${type.type}`, launcher, 0o755);
  }
  await write(SETTINGS_FILE.slice(1), SETTINGS);
  await write("DEBIAN/conffiles", `${SETTINGS_FILE}\n`);
  for (const [file, text] of Object.entries(units("/usr/bin/mesos-cni"))) {
    await write(`usr/lib/systemd/system/${file}`, text);
  }
  await write("usr/share/man/man1/mesos-cni.1.gz", gzipSync(await manualPage(TABLE) + "\n"));
  await write("usr/share/bash-completion/completions/mesos-cni", SCRIPTS.bash!.trim() + "\n");
  await write("usr/share/zsh/vendor-completions/_mesos-cni", SCRIPTS.zsh!.trim() + "\n");
  await write("usr/share/fish/vendor_completions.d/mesos-cni.fish", SCRIPTS.fish!.trim() + "\n");
  const doc = "usr/share/doc/mesos-cni";
  await write(`${doc}/copyright`, copyright(license));
  await write(`${doc}/THIRD_PARTY_NOTICES.gz`, gzipSync(notices));
  await write(`${doc}/changelog.gz`, gzipSync(changelog(version, time)));
  await write("usr/share/lintian/overrides/mesos-cni", OVERRIDES);

  await write("DEBIAN/control", control(version, arch, await sizeOf(root)));
  await write("DEBIAN/md5sums", await md5sums(root));
  for (const [script, text] of Object.entries(SCRIPTS_OF_DPKG)) {
    await write(`DEBIAN/${script}`, text, 0o755);
  }
  await run("chmod", ["-R", "u=rwX,go=rX", root]);
  // Below another umask a directory could have been made with other rights.
  await run("dpkg-deb", ["--root-owner-group", ...compressed, "--build", root, output], {
    SOURCE_DATE_EPOCH: String(time),
  });
}

function control(version: string, arch: string, kib: number): string {
  return `Package: mesos-cni
Version: ${version}
Architecture: ${arch}
Maintainer: ${MAINTAINER}
Installed-Size: ${kib}
Depends: libc6 (>= 2.31), libgcc-s1
Recommends: iptables | nftables
Suggests: containernetworking-plugins, tcpdump
Section: net
Priority: optional
Description: networks for the containers of an Apache Mesos agent
 One file that is the CNI plugin mesos-cni-port-mapper, a linter for network
 configs, a debug shell for the networks of containers, and the network/cni
 isolator as a service for a containerizer or an OCI runtime.
`;
}

/** What dpkg calls. A container's cleanup needs the plugin, so it stays while one is attached. */
const SCRIPTS_OF_DPKG: Readonly<Record<string, string>> = {
  preinst: `#!/bin/sh
set -e
# The original plugin is a program of that name: it is not overwritten.
plugin=/usr/lib/cni/mesos-cni-port-mapper
if [ "$1" = install ] && [ -e "$plugin" ] && [ ! -L "$plugin" ] && ! grep -q '${MARK}' "$plugin"; then
  echo "$plugin is there and not ours: move it away first (mv $plugin $plugin.original)" >&2
  exit 1
fi
# What mesos-cni install wrote waits for its uninstall: of two files dpkg would ask which one it should be.
if [ -e ${SETTINGS_FILE} ] && grep -qs '"settings"' ${MANIFEST} && [ ! -e ${SETTINGS_FILE}.installed ]; then
  mv ${SETTINGS_FILE} ${SETTINGS_FILE}.installed
fi
`,
  postinst: `#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
  systemctl try-restart mesos-cni.service || true
fi
`,
  prerm: `#!/bin/sh
set -e
if [ "$1" = remove ]; then
  mesos-cni uninstall --dry-run >/dev/null
  if [ -d /run/systemd/system ]; then
    systemctl --quiet disable --now mesos-cni.service mesos-cni.socket mesos-cni-metrics.timer || true
  fi
fi
`,
  postrm: `#!/bin/sh
set -e
if [ "$1" = remove ]; then
  rm -f ${METRICS_FILE}
fi
if [ "$1" = purge ]; then
  if [ -e ${SETTINGS_FILE}.installed ] && grep -qs '"settings"' ${MANIFEST}; then
    mv ${SETTINGS_FILE}.installed ${SETTINGS_FILE}
  fi
  rm -rf ${SETTINGS_FILE}.installed /run/mesos-cni/history
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
fi
`,
};

/** What the compiled program has to be, whatever lintian would rather have. */
const OVERRIDES =
  `# The program carries its own runtime behind the end of its ELF image: stripping would cut it off.
mesos-cni: unstripped-binary-or-object [usr/lib/mesos-cni/*]
mesos-cni: embedded-library *
mesos-cni: hardening-no-fortify-functions [usr/lib/mesos-cni/*]
# A launcher is a program without a library, which it has no use for.
mesos-cni: statically-linked-binary [usr/lib/mesos-cni/plugins/*]
mesos-cni: statically-linked-binary [usr/lib/cni/*]
# It is called by the name of a plugin too.
mesos-cni: no-manual-page [usr/lib/mesos-cni/*]
`;

function copyright(license: string): string {
  const indented = license.trimEnd().split("\n").map((line) => ` ${line.trim() ? line : "."}`);
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: mesos-cni
Comment: the libraries within the program have the licences in THIRD_PARTY_NOTICES.gz beside this.

Files: *
Copyright: the mesos-cni authors
License: Apache-2.0

License: Apache-2.0
${indented.join("\n")}
`;
}

function changelog(version: string, time: number): string {
  const date = new Date(time * 1000).toUTCString().replace("GMT", "+0000");
  return `mesos-cni (${version}) unstable; urgency=medium

  * Release ${version}: see CHANGELOG.md of the source.

 -- ${MAINTAINER}  ${date}
`;
}

/** As Debian's policy counts it: KiB, rounded up for each file. */
async function sizeOf(root: string): Promise<number> {
  let kib = 0;
  for await (const path of files(root)) kib += Math.ceil((await Deno.lstat(path)).size / 1024);
  return kib;
}

async function md5sums(root: string): Promise<string> {
  const lines: string[] = [];
  for await (const path of files(root)) {
    const relative = path.slice(root.length + 1);
    // dpkg knows its configuration files by itself.
    if (/^(?:DEBIAN|etc)\//.test(relative)) continue;
    lines.push(`${(await run("md5sum", [path])).slice(0, 32)}  ${relative}\n`);
  }
  return lines.sort().join("");
}

/** The regular files. */
async function* files(directory: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(directory)) {
    const path = join(directory, entry.name);
    if (entry.isDirectory) yield* files(path);
    else if (entry.isFile) yield path;
  }
}

async function run(command: string, args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, env }).output();
  if (code !== 0) throw new Error(`${command}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}
