/** A network and mounts of their own on a virtual machine, as a sandbox is on this one. */
import { assertEquals } from "@std/assert";
import type { Output, RunOptions } from "../sandbox.ts";
import type { Machine } from "./machine.ts";

export class MachinePlace implements AsyncDisposable {
  private constructor(private readonly machine: Machine, private readonly pid: string) {}

  static async create(machine: Machine): Promise<MachinePlace> {
    const pid = await machine.ok(`
      unshare -n -m sh -c 'mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /var/lib
        ip link set lo up; exec sleep 100000' >/dev/null 2>&1 &
      until [ "$(tr '\\0' ' ' </proc/$!/cmdline)" = "sleep 100000 " ]; do usleep 20000; done
      echo $!`);
    return new MachinePlace(machine, pid.trim());
  }

  async run(argv: string[], { stdin = "", env = {}, clearEnv }: RunOptions = {}): Promise<Output> {
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const command = [
      ...["nsenter", "-t", this.pid, "-n", "-m", "--", "env", ...clearEnv ? ["-i"] : []],
      ...variables,
      ...argv,
    ].map(quoted).join(" ");
    return await this.machine.run(`printf %s ${quoted(String(stdin))} | ${command}`);
  }

  async ok(argv: string[], options: RunOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(argv, options);
    assertEquals(code, 0, `${argv.join(" ")}\n${stdout}${stderr}`);
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine.run(`kill ${this.pid}`);
  }
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
