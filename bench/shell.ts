/** A containerizer without any isolator, to compare with. */
import type { Sandbox } from "../tests/harness/sandbox.ts";

/** Does what an isolator does by a shell script: `ip netns`, and the plugin's execution. */
export class Shell implements AsyncDisposable {
  readonly #shell: Deno.ChildProcess;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array>;
  readonly #answers: ReadableStreamDefaultReader<string>;

  constructor(agent: Sandbox, plugin: string, cniPath: string, config: string) {
    const script = `
      export CNI_IFNAME=eth0
      while read step i; do
        export CNI_CONTAINERID=s$i CNI_NETNS=/run/netns/s$i
        t0=\${EPOCHREALTIME/./}
        if [ $step = attach ]; then ip netns add s$i; export CNI_COMMAND=ADD; else export CNI_COMMAND=DEL; fi
        t1=\${EPOCHREALTIME/./}
        "$plugin" <<< "$config" > /run/result || exit
        t2=\${EPOCHREALTIME/./}
        [ $step = attach ] || ip netns delete s$i
        t3=\${EPOCHREALTIME/./}
        echo $((t3 - t0)) $((t2 - t1))
      done`;
    this.#shell = agent.spawn(["bash", "-euc", script], {
      env: { plugin, config, CNI_PATH: cniPath },
    });
    this.#orders = this.#shell.stdin.getWriter();
    this.#answers = this.#shell.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** How long it took, and of that the plugin, in ms. */
  async step(step: "attach" | "detach", i: number): Promise<{ ms: number; plugin: number }> {
    await this.#orders.write(new TextEncoder().encode(`${step} ${i}\n`));
    const { value, done } = await this.#answers.read();
    if (done) throw new Error(`the shell script can't ${step} ${i}`);
    const [ms, plugin] = value.split(" ").map((text) => Number(text) / 1000);
    return { ms: ms!, plugin: plugin! };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#orders.close();
    await this.#answers.cancel();
    await this.#shell.stderr.cancel();
    await this.#shell.status;
  }
}
