/** Signals that ask a program to end, or tell it something, on their way to a container. */

const NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGUSR1: 10, SIGUSR2: 12, SIGTERM: 15 };
type Relayed = keyof typeof NUMBERS;

/** Those by which a user ends a program. */
const ENDING: readonly Relayed[] = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"];

/** Holds the signals of this process, until its `using` block ends; then they act again. */
export class SignalRelay implements Disposable {
  /** The first signal that asked to end before there was anyone to pass it to. */
  received?: { signal: Relayed; exitCode: number };
  /** Called when {@link received} is set. */
  onReceived?: () => void;
  #target?: (signal: Relayed) => void;
  readonly #listeners: (readonly [Relayed, () => void])[];

  constructor() {
    this.#listeners = (Object.keys(NUMBERS) as Relayed[]).map((signal) =>
      [signal, () => this.#arrived(signal)] as const
    );
    for (const [signal, listener] of this.#listeners) Deno.addSignalListener(signal, listener);
  }

  /** From now on signals go to `target`. */
  relay(target: (signal: Relayed) => void): void {
    this.#target = target;
  }

  #arrived(signal: Relayed): void {
    if (this.#target) this.#target(signal);
    else if (ENDING.includes(signal) && !this.received) {
      this.received = { signal, exitCode: 128 + NUMBERS[signal] };
      this.onReceived?.();
    }
  }

  [Symbol.dispose](): void {
    for (const [signal, listener] of this.#listeners) Deno.removeSignalListener(signal, listener);
  }
}
