/** Sockets by FFI (socket(2)): those of other namespaces, and families that Deno does not have. */
import { addressBytes, familyOfKnown } from "../base/ip.ts";
import { check, openLibc, SystemError } from "./libc.ts";
import { Handle } from "./files.ts";
import { inNamespaces } from "./namespaces.ts";
import { unlessRefused } from "../base/unless.ts";
import { EPOLLIN, EPOLLOUT, Poller } from "./poller.ts";

const libc = openLibc({
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
  recvfrom: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "buffer"], result: "isize" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
});

/** A call that waits, on a thread of the runtime's pool. */
const waiting = openLibc({
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize", nonblocking: true },
});
/** All sockets wait by one thread: there may be hundreds. */
let poller: Poller | undefined;

export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_ERROR = 4;
const SIOCGSTAMPNS = 0x8907n;
/** asm-generic/socket.h, since Linux 5.14. */
const SO_NETNS_COOKIE = 71;

const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const EAGAIN = 11;
const EBUSY = 16;
/** Messages of others that are passed over. */
const MOST_OTHERS = 10_000;
const EINPROGRESS = 115;

/** AF_INET or AF_INET6, of an address given as text or as its bytes. */
export function addressFamilyOf(address: string | Uint8Array): typeof AF_INET | typeof AF_INET6 {
  const isV6 = typeof address === "string" ? familyOfKnown(address) === 6 : address.length === 16;
  return isV6 ? AF_INET6 : AF_INET;
}

/** The bytes of a struct sockaddr_in or sockaddr_in6. */
export function socketAddress(address: string, port: number): Uint8Array<ArrayBuffer> {
  const bytes = addressBytes(address);
  const isV4 = bytes.length === 4;
  const view = new DataView(new ArrayBuffer(isV4 ? 16 : 28));
  view.setUint16(0, isV4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  new Uint8Array(view.buffer).set(bytes, isV4 ? 4 : 8);
  return new Uint8Array(view.buffer);
}

/** An option of SOL_SOCKET as numbers of 32 bits. @throws {SystemError} */
export function socketOption(fd: number, option: number, numbers = 1): Int32Array {
  const value = new Int32Array(numbers);
  askOption(fd, SOL_SOCKET, option, new Uint8Array(value.buffer));
  return value;
}

/** An option whose answer comes into the buffer that its question is in. @throws {SystemError} */
export function askOption(
  fd: number,
  level: number,
  option: number,
  buffer: Uint8Array<ArrayBuffer>,
): void {
  const size = new Uint8Array(new Uint32Array([buffer.length]).buffer);
  const read = libc().getsockopt(fd, level, option, buffer, size);
  check(read, `read option ${option} of a socket`);
}

/** tcp(7): bytes that were sent and are not acknowledged. */
const SIOCOUTQ = 0x5411n;
/** Longest socket address there is (struct sockaddr_storage). */
const SOCKADDR_BYTES = 128;

/** An open socket, which never blocks; closed at the end of its `using` block. */
export class Socket extends Handle {
  /**
   * Opens a socket in the network namespace of this process, or of the handle `netns`. It stays
   * a socket of that namespace wherever it is used.
   *
   * @throws {SystemError}
   */
  static open(family: number, type: number, protocol: number, netns?: string): Socket {
    const create = () =>
      new Socket(
        check(
          libc().socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol),
          "open a socket",
        ),
      );
    return netns === undefined ? create() : inNamespaces({ net: netns }, create);
  }

  /** @throws {SystemError} `EADDRINUSE` where another socket has the address */
  bind(address: Uint8Array<ArrayBuffer>, what: string): void {
    check(libc().bind(this.fd, address, address.length), `bind to ${what}`);
  }

  /**
   * Starts to connect: done when {@link writable}, with what came of it in {@link takeError}.
   *
   * @throws {SystemError} for what is known at once, such as `ENETUNREACH`
   */
  connect(address: Uint8Array<ArrayBuffer>, what: string): void {
    const result = libc().connect(this.fd, address, address.length);
    if (result !== -EINPROGRESS) check(result, `connect to ${what}`);
  }

  /** @throws {SystemError} */
  send(bytes: Uint8Array<ArrayBuffer>, what: string, to?: Uint8Array<ArrayBuffer>): void {
    const sent = libc().sendto(
      this.fd,
      bytes,
      BigInt(bytes.length),
      0,
      to ?? null,
      to?.length ?? 0,
    );
    check(sent, what);
  }

  /**
   * As {@link send}, on a thread of the runtime's pool, for what the receiver takes its time over.
   *
   * @throws {SystemError}
   */
  async sendElsewhere(bytes: Uint8Array<ArrayBuffer>, what: string): Promise<void> {
    check(await waiting().send(this.fd, bytes, BigInt(bytes.length), 0), what);
  }

  /**
   * Receives one message, if one is there.
   *
   * @returns its length (more than `buffer` holds only with the flag MSG_TRUNC); undefined when
   *   there is none
   * @throws {SystemError} such as `ECONNREFUSED` for what an earlier message met
   */
  receive(buffer: Uint8Array<ArrayBuffer>, what: string, flags = 0): number | undefined {
    return this.receiveFrom(buffer, what, flags)?.length;
  }

  /** As {@link receive}, with the sender's address. */
  receiveFrom(
    buffer: Uint8Array<ArrayBuffer>,
    what: string,
    flags = 0,
  ): { length: number; from: Uint8Array } | undefined {
    const from = new Uint8Array(SOCKADDR_BYTES);
    const size = new Uint32Array([SOCKADDR_BYTES]);
    const length = Number(
      libc().recvfrom(
        this.fd,
        buffer,
        BigInt(buffer.length),
        flags,
        from,
        new Uint8Array(size.buffer),
      ),
    );
    if (length >= 0) return { length, from: from.subarray(0, size[0]) };
    if (length === -EAGAIN) return undefined;
    throw new SystemError(-length, what);
  }

  /**
   * When the kernel met what was received last, in ms of its clock (socket(7)): from the first time on that it is asked,
   * which has no answer.
   */
  get receivedAt(): number | undefined {
    const time = new BigInt64Array(2);
    const result = libc().ioctl(this.fd, SIOCGSTAMPNS, new Uint8Array(time.buffer));
    return result < 0 ? undefined : Number(time[0]) * 1000 + Number(time[1]) / 1e6;
  }

  /**
   * As {@link receive}, for a netlink socket: what the kernel has sent. Any process with rights over
   * the network that the socket is of, a container's too, can send to it as well.
   *
   * @throws {SystemError} `EBUSY` where others do so without end
   */
  receiveFromKernel(buffer: Uint8Array<ArrayBuffer>, what: string, flags = 0): number | undefined {
    for (let others = 0; others < MOST_OTHERS; others++) {
      const received = this.receiveFrom(buffer, what, flags);
      // struct sockaddr_nl: the kernel's own port is 0.
      if (!received || received.from.subarray(4, 8).every((byte) => byte === 0)) {
        return received?.length;
      }
    }
    throw new SystemError(EBUSY, `${what}: others keep sending to this socket`);
  }

  /** Waits for something to receive; false when nothing came in time. */
  readable(timeoutMs: number): Promise<boolean> {
    return this.#ready(EPOLLIN, timeoutMs);
  }

  /** Waits until something can be sent, or a connect has ended; false when it has not in time. */
  writable(timeoutMs: number): Promise<boolean> {
    return this.#ready(EPOLLOUT, timeoutMs);
  }

  async #ready(events: typeof EPOLLIN | typeof EPOLLOUT, timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (!this.#isReady(events)) {
      const left = deadline - performance.now();
      if (left <= 0) return false;
      const all = poller ??= new Poller();
      const timer = setTimeout(() => all.cancel(this.fd), Math.ceil(left));
      try {
        // What is told may be of a descriptor that had this number before: so it is looked at again.
        await all.wait(this.fd, events);
      } finally {
        clearTimeout(timer);
      }
    }
    return true;
  }

  #isReady(events: number): boolean {
    // struct pollfd; these two bits of poll(2) are those of epoll(7).
    const poll = new DataView(new ArrayBuffer(8));
    poll.setInt32(0, this.fd, true);
    poll.setInt16(4, events, true);
    return check(libc().poll(new Uint8Array(poll.buffer), 1n, 0), "look at a socket") > 0;
  }

  /** The error that waits on the socket (SO_ERROR), which this takes off it; 0 for none. */
  takeError(): number {
    return socketOption(this.fd, SO_ERROR)[0]!;
  }

  /** Of TCP, bytes that were sent and that the other end has not acknowledged. @throws {SystemError} */
  get unacknowledged(): number {
    const value = new Int32Array(1);
    const bytes = new Uint8Array(value.buffer);
    check(libc().ioctl(this.fd, SIOCOUTQ, bytes), "ask what a socket has not sent");
    return value[0]!;
  }

  /**
   * Receives only what a program lets through.
   *
   * @param program instructions of classic BPF, 8 bytes each (struct sock_filter, linux/filter.h)
   * @throws {SystemError}
   */
  attachFilter(program: Uint8Array<ArrayBuffer>): void {
    const fprog = new Uint8Array(16);
    const view = new DataView(fprog.buffer);
    view.setUint16(0, program.length / 8, true);
    view.setBigUint64(8, BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(program))), true);
    this.setOption(SOL_SOCKET, SO_ATTACH_FILTER, fprog);
  }

  /** @throws {SystemError} */
  setOption(level: number, option: number, value: number | Uint8Array<ArrayBuffer>): void {
    const bytes = typeof value === "number"
      ? new Uint8Array(new Int32Array([value]).buffer)
      : value;
    check(
      libc().setsockopt(this.fd, level, option, bytes, bytes.length),
      `set option ${level}/${option} of a socket`,
    );
  }
}

/**
 * The number of a network namespace that the kernel gives to no other in a boot, where the inode of one
 * that has ended is given anew at once.
 *
 * @param handle of the namespace; this program's own, if absent
 * @returns undefined where it can't be told: on a kernel before 5.14, of what may not be entered or is gone
 */
export function networkCookie(handle?: string): string | undefined {
  return unlessRefused(() => {
    using socket = Socket.open(AF_NETLINK, SOCK_RAW, 0, handle);
    const { buffer } = socketOption(socket.fd, SO_NETNS_COOKIE, 2);
    return `${new DataView(buffer).getBigUint64(0, true)}`;
  });
}
