/** Where suites run: this machine, or another one that has the same files at the same paths. */

export interface Place {
  /** The kernel's release: what judges with one need not with another. */
  kernel: string;
  /** Runs a program to its end; resolves with all that it wrote. */
  run(argv: readonly string[], env: Readonly<Record<string, string>>): Promise<string>;
  /** @throws if there is no such file */
  read(path: string): Promise<string>;
}

export const HERE: Place = {
  get kernel() {
    return Deno.osRelease();
  },
  async run([program, ...args], env) {
    const { stdout, stderr } = await new Deno.Command(program!, { args, env }).output();
    return [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
  },
  read: (path) => Deno.readTextFile(path),
};
