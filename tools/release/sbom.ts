/** The bill of materials, as CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/). */
import type { Package } from "./packages.ts";

export interface Release {
  version: string;
  /** Of Deno, whose runtime is in the binary. */
  deno: string;
  /** Of the commit, ISO 8601. */
  date: string;
  commit: string;
  /** SHA-256 of each binary, hexadecimal, by file name. */
  binaries: Readonly<Record<string, string>>;
}

export function sbom(release: Release, packages: readonly Package[]): object {
  const { version, commit, date, deno, binaries } = release;
  const own = `pkg:generic/mesos-cni@${version}`;
  const runtime = `pkg:github/denoland/deno@v${deno}`;
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      timestamp: date,
      component: {
        "bom-ref": own,
        type: "application",
        name: "mesos-cni",
        version,
        purl: own,
        licenses: [{ license: { id: "Apache-2.0" } }],
        properties: [{ name: "commit", value: commit }],
        components: Object.entries(binaries).map(([name, content]) => ({
          "bom-ref": name,
          type: "file",
          name,
          hashes: [{ alg: "SHA-256", content }],
        })),
      },
    },
    components: [
      {
        "bom-ref": runtime,
        type: "platform",
        name: "deno",
        version: deno,
        purl: runtime,
        licenses: [{ license: { id: "MIT" } }],
      },
      ...packages.map((one) => ({
        "bom-ref": purlOf(one),
        type: "library",
        name: one.name,
        version: one.version,
        purl: purlOf(one),
        hashes: [hashOf(one)],
        licenses: [{ expression: one.license }],
      })),
    ],
    dependencies: [{ ref: own, dependsOn: [runtime, ...packages.map(purlOf)] }],
  };
}

function purlOf({ registry, name, version }: Package): string {
  // No type of package URL is registered for JSR.
  const type = registry === "npm" ? "npm" : "generic";
  return `pkg:${type}/${name.replace("@", "%40")}@${version}`;
}

function hashOf({ registry, integrity }: Package): { alg: string; content: string } {
  if (registry === "jsr") return { alg: "SHA-256", content: integrity };
  const bytes = Uint8Array.fromBase64(integrity.slice("sha512-".length));
  return { alg: "SHA-512", content: bytes.toHex() };
}
