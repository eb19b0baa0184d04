/**
 * Waiting for many descriptors with one thread (epoll(7)). Deno does not take descriptors from
 * outside, and each wait of its own by FFI would hold one of the few threads of its pool.
 */
import { check, openLibc } from "./libc.ts";
import { Handle } from "./files.ts";

const libc = openLibc({
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
});

const waiting = openLibc({
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32", nonblocking: true },
});

/** sys/epoll.h */
export const EPOLLIN = 1;
export const EPOLLOUT = 4;
const EPOLLONESHOT = 1 << 30;
const EPOLLET = 2 ** 31;
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_MOD = 3;
const EFD_CLOEXEC_NONBLOCK = 0o2004000;
const ENOENT = 2;

/** struct epoll_event { u32 events; u64 data }, packed on x86-64 only. */
const DATA_OFFSET = Deno.build.arch === "x86_64" ? 4 : 8;
const EVENT_BYTES = DATA_OFFSET + 8;
const MAX_EVENTS = 64;

/** One lives as long as the program does. */
export class Poller {
  readonly #epoll = new Handle(check(libc().epoll_create1(EPOLL_CLOEXEC), "make an epoll"));
  readonly #wake = new Handle(check(libc().eventfd(0, EFD_CLOEXEC_NONBLOCK), "make an eventfd"));
  readonly #waiting = new Map<number, (ready: boolean) => void>();
  #running = false;

  constructor() {
    this.#watch(this.#wake.fd, EPOLLIN | EPOLLET);
  }

  /**
   * Waits for `events` of a descriptor, or for its end.
   *
   * @returns false when the wait was cancelled
   * @throws {SystemError}
   */
  async wait(fd: number, events: typeof EPOLLIN | typeof EPOLLOUT): Promise<boolean> {
    this.#watch(fd, events | EPOLLONESHOT);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiting.set(fd, resolve);
    if (!this.#running) this.#run();
    return await promise;
  }

  /** Ends the wait for a descriptor, if there is one. */
  cancel(fd: number): void {
    this.#finish(fd, false);
    const one = new Uint8Array(new BigUint64Array([1n]).buffer);
    check(libc().write(this.#wake.fd, one, 8n), "wake the wait for descriptors");
  }

  /** Runs while anyone waits, so that a program with nothing to wait for can end. */
  async #run(): Promise<void> {
    this.#running = true;
    const events = new DataView(new ArrayBuffer(EVENT_BYTES * MAX_EVENTS));
    while (this.#waiting.size > 0) {
      const count = check(
        await waiting().epoll_wait(this.#epoll.fd, new Uint8Array(events.buffer), MAX_EVENTS, -1),
        "wait for descriptors",
      );
      for (let i = 0; i < count; i++) {
        this.#finish(events.getInt32(i * EVENT_BYTES + DATA_OFFSET, true), true);
      }
    }
    this.#running = false;
  }

  #finish(fd: number, ready: boolean): void {
    this.#waiting.get(fd)?.(ready);
    this.#waiting.delete(fd);
  }

  #watch(fd: number, events: number): void {
    const event = new DataView(new ArrayBuffer(EVENT_BYTES));
    event.setUint32(0, events, true);
    event.setInt32(DATA_OFFSET, fd, true);
    const bytes = new Uint8Array(event.buffer);
    const what = `watch descriptor ${fd}`;
    const changed = libc().epoll_ctl(this.#epoll.fd, EPOLL_CTL_MOD, fd, bytes);
    if (changed !== -ENOENT) check(changed, what);
    else check(libc().epoll_ctl(this.#epoll.fd, EPOLL_CTL_ADD, fd, bytes), what);
  }
}
