/**
 * Unix stream sockets by FFI (unix(7)). Deno has them too, but not a socket that somebody else
 * has opened (systemd's socket activation), nor who is at the other end (SO_PEERCRED).
 */
import { OperatorError } from "../base/error.ts";
import { check, openLibc, SystemError } from "./libc.ts";
import { Handle, setInherited, setNonblocking } from "./files.ts";
import { EPOLLIN, EPOLLOUT, Poller } from "./poller.ts";
import { SOCK_DGRAM, SOCK_STREAM, Socket, socketOption } from "./socket.ts";
import { errno, unless } from "../base/unless.ts";

const libc = openLibc({
  fchmod: { parameters: ["i32", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept4: { parameters: ["i32", "pointer", "pointer", "i32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
});

const AF_UNIX = 1;
const SO_PEERCRED = 17;
const SO_ACCEPTCONN = 30;
const SO_DOMAIN = 39;
const SOCK_CLOEXEC_NONBLOCK = 0o2004000;
const MSG_NOSIGNAL = 0x4000;
const SHUT_WR = 1;
const SHUT_RDWR = 2;
const EAGAIN = 11;
/** What may go wrong with one connection that is just coming, and says nothing of the next. */
const PASSING = ["EAGAIN", "EINTR", "ECONNABORTED"];
/** The kernel's own limit (net.core.somaxconn) is lower: a full queue refuses callers. */
const BACKLOG = 1 << 16;

/** sizeof(sun_path), less the NUL at its end (un.h). */
const LONGEST_PATH = 107;

let poller: Poller | undefined;

/**
 * struct sockaddr_un for a path, or for an abstract name that begins with `@`.
 *
 * @throws {OperatorError} `bad_socket_path` if the kernel has no room for it
 */
export function unixAddress(path: string): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(path);
  if (name.length > LONGEST_PATH || name.length === 0 || name.includes(0)) {
    throw new OperatorError(
      "bad_socket_path",
      `${JSON.stringify(path)} can be no socket: a path has 1 to ${LONGEST_PATH} bytes`,
    );
  }
  const abstract = path.startsWith("@");
  const address = new Uint8Array(2 + name.length + (abstract ? 0 : 1));
  address[0] = AF_UNIX;
  address.set(name, 2);
  if (abstract) address[2] = 0;
  return address;
}

/** Sends one datagram to a unix socket. @throws {SystemError} */
export function sendDatagram(path: string, text: string): void {
  using socket = Socket.open(AF_UNIX, SOCK_DGRAM, 0);
  socket.send(new TextEncoder().encode(text), `send to ${path}`, unixAddress(path));
}

/** Whether somebody listens at a path. @throws {SystemError} */
export function isListening(path: string): boolean {
  using socket = Socket.open(AF_UNIX, SOCK_STREAM, 0);
  return unless(errno("ECONNREFUSED", "ENOENT"), () => {
    // Its queue may be full.
    unless(errno("EAGAIN"), () => socket.connect(unixAddress(path), path));
    return true;
  }) ?? false;
}

/** A socket that takes connections. */
export class UnixListener extends Handle {
  /** Makes a socket at a path at which nothing is. @throws {SystemError} */
  static at(path: string, mode: number): UnixListener {
    const address = unixAddress(path);
    const socket = Socket.open(AF_UNIX, SOCK_STREAM, 0);
    try {
      // The file at the path is born with the socket's own mode: it is never open to others.
      check(libc().fchmod(socket.fd, mode), `protect ${path}`);
      socket.bind(address, path);
      check(libc().listen(socket.fd, BACKLOG), `listen at ${path}`);
    } catch (error) {
      socket.close();
      throw error;
    }
    return new UnixListener(socket.fd);
  }

  /**
   * Takes over a listening socket that was open when this program started.
   *
   * @throws {OperatorError} `bad_socket` if it is something else
   */
  static adopt(fd: number): UnixListener {
    const listener = new UnixListener(fd);
    if (socketOption(fd, SO_DOMAIN)[0] !== AF_UNIX || socketOption(fd, SO_ACCEPTCONN)[0] !== 1) {
      throw new OperatorError("bad_socket", `descriptor ${fd} is no listening unix socket`);
    }
    setInherited(listener, false);
    setNonblocking(listener);
    return listener;
  }

  /**
   * The next connection.
   *
   * @returns undefined after {@link cancel}
   * @throws {SystemError} such as `EMFILE`
   */
  async accept(): Promise<UnixStream | undefined> {
    while (await (poller ??= new Poller()).wait(this.fd, EPOLLIN)) {
      const fd = libc().accept4(this.fd, null, null, SOCK_CLOEXEC_NONBLOCK);
      if (fd >= 0) return new UnixStream(fd);
      const error = new SystemError(-fd, "accept a connection");
      if (!PASSING.includes(error.errnoName)) throw error;
    }
  }

  /** Ends a waiting {@link accept}. The socket itself may be somebody else's too, and stays. */
  cancel(): void {
    poller?.cancel(this.fd);
  }
}

/** One connection. */
export class UnixStream extends Handle {
  /** The process at the other end, as the kernel knows it. */
  peer(): { pid: number; uid: number } {
    const [pid, uid] = socketOption(this.fd, SO_PEERCRED, 3); // struct ucred
    return { pid: pid!, uid: uid! >>> 0 };
  }

  /** Reads what is there, or waits for it. @returns the bytes read; 0 at the end */
  async read(buffer: Uint8Array<ArrayBuffer>): Promise<number> {
    while (true) {
      const count = Number(libc().recv(this.fd, buffer, BigInt(buffer.length), 0));
      if (count >= 0) return count;
      await this.#after(-count, EPOLLIN, "read from a socket");
    }
  }

  /** @throws {SystemError} `EPIPE` when the other end is gone */
  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    while (bytes.length > 0) {
      const count = Number(libc().send(this.fd, bytes, BigInt(bytes.length), MSG_NOSIGNAL));
      if (count >= 0) bytes = bytes.subarray(count);
      else await this.#after(-count, EPOLLOUT, "write to a socket");
    }
  }

  async #after(number: number, events: typeof EPOLLIN | typeof EPOLLOUT, what: string) {
    if (number !== EAGAIN) throw new SystemError(number, what);
    await (poller ??= new Poller()).wait(this.fd, events);
  }

  /** Tells the other end that nothing more comes. */
  endWriting(): void {
    libc().shutdown(this.fd, SHUT_WR);
  }

  /** Ends the connection both ways, and with it whatever waits for it. */
  abort(): void {
    libc().shutdown(this.fd, SHUT_RDWR);
  }
}
