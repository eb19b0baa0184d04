/**
 * How the compiled program loads its code: as scripts. Those that a call needs on which somebody waits are a
 * pack, beside what V8 has made of it when the program was built (`train.ts`). V8 takes that as it is; without
 * it, or when it is of another V8, it compiles them as any other, which only takes longer.
 */
import type { Script } from "node:vm";

/** The script of `main.ts`, as scripts name each other. */
export const ENTRY = "./main.script";

/** The packs by what calls are called by, and that of all commands, of VERSION, and of whoever has none. */
export const COMMAND = "mesos-cni";
export const VERSION = "version";
export const MOST = "mesos-cni-port-mapper";
const OWN = ["bridge", "portmap", "firewall", "tuning", "loopback"];

/** As Node has it without an import, for which the runtime would take another 0.4 ms. */
const { process } = globalThis as unknown as { process: typeof import("node:process") };
const vm = process.getBuiltinModule("node:vm");
const decoder = new TextDecoder();

type Exports = Record<string, unknown>;
type Module = { exports: Exports };
type Body = (exports: Exports, require: (name: string) => Exports, module: Module) => void;

/** Reads a file of `gather.ts`; undefined where there is none. */
export type Read = (name: string) => Uint8Array | undefined;

/** The pack of this call, and what V8 has made of it: DEL needs other functions than the rest. */
export function ownPack(): { pack: string; made: string } {
  let command: string | undefined;
  try {
    command = Deno.env.get("CNI_COMMAND");
  } catch {
    // Its bytes are no text, which the plugin says.
  }
  const name = process.argv0.slice(process.argv0.lastIndexOf("/") + 1);
  const pack = !command
    ? COMMAND
    : command === "VERSION"
    ? VERSION
    : OWN.includes(name)
    ? name
    : MOST;
  return { pack: `${pack}.pack`, made: command === "DEL" ? `${pack}.DEL.made` : `${pack}.made` };
}

export class Loader {
  readonly #read: Read;
  readonly #modules = new Map<string, Module>();
  readonly #bodies: Record<string, Body> = {};
  /** What has been loaded, by the name of what is made of it. */
  readonly scripts = new Map<string, Script>();

  constructor(read: Read, { pack, made } = ownPack()) {
    this.#read = read;
    this.#unpack(pack, made);
  }

  /** What a script exports; it runs when it is first asked for. */
  readonly require = (name: string): Exports => {
    // What the bundler writes at the top for packages that load modules of Node's while they run.
    if (name === "node:module") return { createRequire: () => this.require };
    if (name.startsWith("node:")) return process.getBuiltinModule(name) as Exports;
    const known = this.#modules.get(name);
    if (known) return known.exports;
    const module: Module = { exports: {} };
    this.#modules.set(name, module);
    try {
      this.#body(name)(module.exports, this.require, module);
    } catch (error) {
      // Else it would be taken for whole the next time.
      this.#modules.delete(name);
      throw error;
    }
    return module.exports;
  };

  #body(name: string): Body {
    const file = name.slice("./".length);
    const body = this.#bodies[name] ?? this.#run(file, `${file}.made`);
    if (body) return body as Body;
    // What is in no file of its own.
    this.#unpack(`${MOST}.pack`, `${MOST}.made`);
    return this.#bodies[name]!;
  }

  #unpack(pack: string, made: string): void {
    const bodies = this.#run(pack, made) as Record<string, Body>;
    for (const [name, body] of Object.entries(bodies)) this.#bodies[name] ??= body;
  }

  #run(name: string, made: string): unknown {
    const text = this.#read(name);
    if (!text) return undefined;
    const cachedData = this.#read(made);
    const script = new vm.Script(decoder.decode(text), {
      filename: `mesos-cni/${name}`,
      cachedData: cachedData?.length ? cachedData : undefined,
    });
    this.scripts.set(made, script);
    return script.runInThisContext();
  }
}

/** Of a directory. */
export function filesOf(directory: string): Read {
  const names = new Set([...Deno.readDirSync(directory)].map(({ name }) => name));
  return (name) => names.has(name) ? Deno.readFileSync(`${directory}/${name}`) : undefined;
}

/** The header of ELF64. */
const ELF_HEADER = 64;
/** The archive's head: how long its index is, which most often is less than this. */
const HEAD = 16 << 10;

type ReadAt = (at: number, length: number) => Uint8Array<ArrayBuffer>;

/**
 * Of the program's own file (`append.ts`), behind what is executed. What the runtime finds in its file, it reads
 * twice at each start, a mebibyte in more than a millisecond.
 *
 * @param sum of the scripts that belong to this start
 */
export function filesOfProgram(sum: string): Read {
  try {
    const read = archiveIn(byName(), sum);
    if (read) return read;
  } catch {
    // Removed since, or something else.
  }
  const read = archiveIn(byProcess(), sum);
  if (read) return read;
  throw new Error("the program's file does not hold its scripts: put a whole one in its place");
}

/** Behind its last part, the headers of its sections: e_shoff, e_shentsize, e_shnum. */
export function endOfElf(file: ArrayBuffer): number {
  const header = new DataView(file);
  return Number(header.getBigUint64(40, true)) +
    header.getUint16(58, true) * header.getUint16(60, true);
}

function archiveIn(readAt: ReadAt, sum: string): Read | undefined {
  const start = endOfElf(readAt(0, ELF_HEADER).buffer);
  const head = readAt(start, HEAD);
  const known = `{"sum":"${sum}"`;
  if (decoder.decode(head.subarray(4, 4 + known.length)) !== known) return undefined;
  const length = new DataView(head.buffer).getUint32(0, true);
  const end = 4 + length;
  const text = decoder.decode(end <= HEAD ? head.subarray(4, end) : readAt(start + 4, length));
  const { files } = JSON.parse(text) as { files: Record<string, [at: number, length: number]> };
  return (name) => {
    if (!Object.hasOwn(files, name)) return undefined;
    const [at, bytes] = files[name]!;
    return readAt(start + end + at, bytes);
  };
}

/** The file that has the program's name. */
function byName(): ReadAt {
  const file = Deno.openSync(Deno.execPath());
  return (at, length) => {
    const bytes = new Uint8Array(length);
    file.seekSync(at, Deno.SeekMode.Start);
    for (let read = 0, more: number | null; read < length; read += more) {
      more = file.readSync(bytes.subarray(read));
      if (!more) throw cutShort();
    }
    return bytes;
  };
}

function cutShort(): Error {
  return new Error("the program's file can't be read whole: put a whole one in its place");
}

const O_CLOEXEC = 0o2000000;

/** The file that runs, when an upgrade has given its name to another since. The runtime itself does not open it. */
function byProcess(): ReadAt {
  const { open, pread } = Deno.dlopen("libc.so.6", {
    open: { parameters: ["buffer", "i32"], result: "i32" },
    pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "isize" },
  }).symbols;
  const file = open(new TextEncoder().encode("/proc/self/exe\0"), O_CLOEXEC);
  return (at, length) => {
    const bytes = new Uint8Array(length);
    for (let read = 0, more: number; read < length; read += more) {
      more = Number(pread(file, bytes.subarray(read), BigInt(length - read), BigInt(at + read)));
      if (more <= 0) throw cutShort();
    }
    return bytes;
  };
}
