/** `mesos-cni lint` as an operator calls it, and the files of a test. */
import { join } from "@std/path";
import { MESOS_CNI } from "./binary.ts";

export const GOOD = `{
  "cniVersion": "1.0.0",
  "name": "net",
  "type": "bridge",
  "bridge": "cni0",
  "isGateway": true,
  "ipam": {
    "type": "host-local",
    "subnet": "10.1.0.0/16",
    "routes": [{ "dst": "0.0.0.0/0" }]
  }
}
`;
/** In an operator's own layout, with mistakes that --fix mends. */
export const MENDABLE = `{
    "name" : "net",  "type" : "bridge",
    "bridge"    : "cni0",
    "isGatway"  : true,
    "ipam" : { "type": "host-local",
               "subnet": "10.1.2.3/16",
               "routes": [ { "dst": "0.0.0.0/0" }, ] }
}
`;

export class Directory implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "mesos-cni-lint-" });

  file(name: string, content: string | Uint8Array, mode = 0o644): string {
    const path = join(this.path, name);
    if (typeof content === "string") Deno.writeTextFileSync(path, content);
    else Deno.writeFileSync(path, content);
    Deno.chmodSync(path, mode);
    return path;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

export async function lint(
  args: string[],
  options: { stdin?: string; cwd?: string; env?: Record<string, string> } = {},
) {
  const child = new Deno.Command(MESOS_CNI, {
    args: ["lint", ...args],
    cwd: options.cwd ?? "/",
    env: options.env,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  // It reads no further than it looks.
  await writer.write(new TextEncoder().encode(options.stdin ?? "")).then(() => writer.close())
    .catch(() => {});
  const { code, stdout, stderr } = await child.output();
  return {
    code,
    stdout: new TextDecoder().decode(stdout),
    stderr: new TextDecoder().decode(stderr),
  };
}

export interface Report {
  files: number;
  errors: number;
  warnings: number;
  findings: {
    code: string;
    severity: string;
    file: string;
    start: { line: number; column: number };
    end: { line: number; column: number };
  }[];
}

export async function report(...args: string[]): Promise<Report> {
  return JSON.parse((await lint(["--json", ...args])).stdout);
}

export async function codes(...args: string[]): Promise<string[]> {
  return (await report(...args)).findings.map((finding) => finding.code);
}
