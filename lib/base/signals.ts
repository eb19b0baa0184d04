/** Signals that ask a program to end, or tell it something, on their way to a container. */

/** All that end a program which says nothing of them, but for those of its own defects. */
const NUMBERS = {
  ...{ SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGUSR1: 10, SIGUSR2: 12, SIGALRM: 14, SIGTERM: 15 },
  ...{ SIGSTKFLT: 16, SIGXCPU: 24, SIGVTALRM: 26, SIGPROF: 27, SIGIO: 29, SIGPWR: 30 },
};
type Relayed = keyof typeof NUMBERS;

/** What is for the command alone. */
const TELLING: readonly Relayed[] = ["SIGUSR1", "SIGUSR2"];

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
    else if (!TELLING.includes(signal) && !this.received) {
      this.received = { signal, exitCode: 128 + NUMBERS[signal] };
      this.onReceived?.();
    }
  }

  [Symbol.dispose](): void {
    for (const [signal, listener] of this.#listeners) Deno.removeSignalListener(signal, listener);
  }
}
