/** Pseudo terminals (pty(7)). */
import { Handle, O_CLOEXEC, O_NOCTTY, O_RDWR, open } from "./files.ts";
import { check, openLibc } from "./libc.ts";

const libc = openLibc({
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  // The third argument of some is a number.
  ioctlNumber: { name: "ioctl", parameters: ["i32", "u64", "u64"], result: "i32" },
});

/** asm-generic/ioctls.h, the same on x64 and arm64. */
const TCGETS = 0x5401n;
const TCSETS = 0x5402n;
const TIOCGWINSZ = 0x5413n;
const TIOCSWINSZ = 0x5414n;
const TIOCSPTLCK = 0x40045431n;
const TIOCGPTPEER = 0x5441n;

/** A terminal, and the end of who types and reads, which does not block. @throws {SystemError} */
export function openPty(): { master: Handle; terminal: Handle } {
  const what = "make a terminal";
  const master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  check(libc().ioctl(master.fd, TIOCSPTLCK, new Uint8Array(4)), what);
  const flags = BigInt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  return {
    master,
    terminal: new Handle(check(libc().ioctlNumber(master.fd, TIOCGPTPEER, flags), what)),
  };
}

/** struct termios of the kernel (asm-generic/termbits.h): four words of flags, then bytes. */
const TERMIOS_BYTES = 64;
const [IFLAG, OFLAG, LFLAG, VTIME, VMIN] = [0, 1, 3, 17 + 5, 17 + 6];
/** IGNBRK to IXON; OPOST; ISIG, ICANON, ECHO, ECHONL, IEXTEN: what cfmakeraw(3) takes away. */
const COOKED_INPUT = 0o2753;
const COOKED_OUTPUT = 0o1;
const COOKED_LINE = 0o100113;

/**
 * Gives `other` the settings of the terminal behind a descriptor, and lets that one pass on each key
 * and each byte as it is, until the end of the `using` block.
 */
export function passThrough(fd: number, other: Handle): Disposable {
  const settings = new Uint8Array(TERMIOS_BYTES);
  check(libc().ioctl(fd, TCGETS, settings), "read the settings of the terminal");
  libc().ioctl(other.fd, TCSETS, settings);
  const raw = settings.slice();
  const flags = new Uint32Array(raw.buffer);
  flags[IFLAG]! &= ~COOKED_INPUT;
  flags[OFLAG]! &= ~COOKED_OUTPUT;
  flags[LFLAG]! &= ~COOKED_LINE;
  [raw[VTIME], raw[VMIN]] = [0, 1];
  check(libc().ioctl(fd, TCSETS, raw), "set the terminal");
  return { [Symbol.dispose]: () => void libc().ioctl(fd, TCSETS, settings) };
}

/** Gives a terminal the size of another one, if that has one. */
export function copySize(from: number, to: Handle): void {
  const size = new Uint8Array(8); // struct winsize
  if (libc().ioctl(from, TIOCGWINSZ, size) === 0) libc().ioctl(to.fd, TIOCSWINSZ, size);
}
