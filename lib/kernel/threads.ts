/** The threads of JavaScript in this process: its first one, and workers. */

/** Whether this code runs in a worker. */
export const isWorker: boolean = "DedicatedWorkerGlobalScope" in globalThis;

/** One word: whether some thread has its turn. A worker gets the first thread's. */
let word = new Int32Array(new SharedArrayBuffer(4));

/** What a worker has to be given, for {@link joinTurns}. */
export function sharedTurns(): SharedArrayBuffer {
  return word.buffer as SharedArrayBuffer;
}

/** Takes turns with the threads that have the same. */
export function joinTurns(turns: SharedArrayBuffer): void {
  word = new Int32Array(turns);
}

/**
 * Does what must not happen in two threads at the same time: descriptors belong to the process, so
 * a program that one thread starts would inherit what another one has just marked for its own.
 */
export function inTurn<R>(work: () => R): R {
  while (Atomics.compareExchange(word, 0, 0, 1) !== 0) Atomics.wait(word, 0, 1);
  try {
    return work();
  } finally {
    Atomics.store(word, 0, 0);
    Atomics.notify(word, 0, 1);
  }
}
