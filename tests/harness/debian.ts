/** Machines with a package manager of their own, and packages for them. */
import { makeDeb } from "../../tools/release/deb.ts";
import { Sandbox } from "./sandbox.ts";

const ARCH = Deno.build.arch === "x86_64" ? "amd64" : "arm64";
/** A package's files are root's. */
export const NEEDS_ROOT = (Deno.uid() ?? 0) !== 0;

const made = new Map<string, Promise<string>>();

/**
 * The uncompressed package of a program, which a file makes once: its 90 MB take their time.
 *
 * @returns a file of the host's own
 */
export async function packageOf(host: Sandbox, binary: string, version: string): Promise<string> {
  const key = `${version} ${binary}`;
  if (!made.has(key)) made.set(key, makePackage(binary, version));
  const own = `${host.dir}/mesos-cni_${version}.deb`;
  await Deno.link(await made.get(key)!, own);
  return own;
}

async function makePackage(binary: string, version: string): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "mesos-cni-test-" });
  const file = await debOf({ dir }, binary, version, { compression: "none" });
  await Deno.remove(`${dir}/work-${version}`, { recursive: true });
  return file;
}

/** Makes a package. @returns its file */
export async function debOf(
  host: Pick<Sandbox, "dir">,
  binary: string,
  version: string,
  { name = version, compression }: { name?: string; compression?: "none" } = {},
) {
  const workplace = `${host.dir}/work-${name}`;
  await Deno.mkdir(workplace);
  const output = `${host.dir}/mesos-cni_${name}.deb`;
  await makeDeb({
    binary,
    version,
    arch: ARCH,
    time: 1_700_000_000,
    license: await Deno.readTextFile("LICENSE"),
    notices: "notices\n",
    workplace,
    output,
    compression,
  });
  return output;
}

/** Where, on a {@link machine}, is what was written to /usr and /etc; what was removed is a device there. */
export const WRITTEN: readonly string[] = ["/run/layers/usr/up", "/run/layers/etc/up"];

/** /usr and /etc as they are, but what is changed in them is gone with the sandbox. */
export async function machine(): Promise<Sandbox> {
  const host = await Sandbox.create();
  const script = [
    "mkdir -p /run/layers /run/dpkg/info /run/dpkg/updates /run/dpkg/triggers",
    "mount -t tmpfs none /run/layers",
    ...["usr", "etc"].flatMap((name) => [
      `mkdir -p /run/layers/${name}/up /run/layers/${name}/work`,
      `mount -t overlay overlay -o lowerdir=/${name},upperdir=/run/layers/${name}/up,` +
      `workdir=/run/layers/${name}/work /${name}`,
    ]),
    "touch /run/dpkg/status /run/dpkg/available",
  ].join(" && ");
  await host.ok(["sh", "-c", script]);
  return host;
}

/** dpkg of such a machine. */
export const dpkg = (...args: string[]) => [
  "dpkg",
  "--admindir=/run/dpkg",
  "--force-depends",
  "--force-unsafe-io", // what it writes is gone with the sandbox
  "--log=/dev/null",
  ...args,
];
