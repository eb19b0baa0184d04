/**
 * A machine of one's own: another kernel, a disk, a power switch. Emulated without the help of the
 * processor (TCG), which works everywhere, and is ten to twenty times slower than this one.
 */
import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { MESOS_CNI } from "../binary.ts";
import type { Output } from "../sandbox.ts";
import { CPU } from "./cpu.ts";
import { DEFAULT_KERNEL, makeDisk, type Part } from "./disk.ts";
import { kernelFile } from "./kernels.ts";
import { Control } from "./control.ts";
import { ALL } from "./test.ts";

export interface MachineOptions {
  kernel?: string;
  parts?: readonly Part[];
  /** Files that only this machine has: where they are in it, and where they come from. */
  files?: Readonly<Record<string, string>>;
  /** MiB of memory. */
  memory?: number;
}

/** The compiled program, before `install`: as it was downloaded. */
export const DOWNLOADED = "/root/mesos-cni";

/**
 * What costs an emulated machine time; and its timer, which stands still where this one is busy. QEMU
 * translates a program once more wherever it lies at another address: with random ones, at each start.
 */
const EMULATED = "mitigations=off init_on_alloc=0 norandmaps no_timer_check";

/** In CI one: what two share must be locked in each translated instruction, which costs a sixth of the time. */
const PROCESSORS = ALL ? "2" : "1";

/** Seconds in which a machine is up, and a command ends, on the slowest machine. */
const PATIENCE = 300;
const DIR = fromFileUrl(new URL("../../../dist/machines", import.meta.url));

export class Machine implements AsyncDisposable {
  #running?: { qemu: Deno.ChildProcess; control: Control };

  private constructor(
    private readonly dir: string,
    private readonly disk: string,
    private readonly initramfs: string,
    readonly kernel: string,
    private readonly memory: number,
  ) {}

  /** A machine that is off, with the program in root's home. */
  static async create(options: MachineOptions = {}): Promise<Machine> {
    const { kernel = DEFAULT_KERNEL, parts = [], files = {}, memory = 1024 } = options;
    if (kernel === undefined) {
      throw new Error("no kernel for virtual machines: run `./dev machine`");
    }
    await Deno.mkdir(DIR, { recursive: true });
    const dir = await Deno.makeTempDir({ dir: DIR });
    const contents = { kernel, parts, files: { [DOWNLOADED]: MESOS_CNI, ...files } };
    const { disk, initramfs } = await makeDisk(contents, dir);
    return new Machine(dir, disk, initramfs, kernel, memory);
  }

  /** A machine that is on. */
  static async start(options: MachineOptions = {}): Promise<Machine> {
    const machine = await Machine.create(options);
    await machine.on();
    return machine;
  }

  /** Switches it on; resolves when it takes commands. */
  async on(): Promise<void> {
    const qemu = new Deno.Command(CPU.qemu, {
      args: this.#arguments(),
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const control = new Control(qemu, this.#console);
    this.#running = { qemu, control };
    await control.up(PATIENCE);
  }

  /** Cuts its power: what it had not flushed to its disk is lost. */
  async cut(): Promise<void> {
    if (!this.#running) return;
    const { qemu, control } = this.#running;
    this.#running = undefined;
    control.abandon();
    try {
      qemu.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // It has ended by itself.
    }
    await qemu.status;
  }

  /** Shuts it down and switches it on again, as `reboot` does. */
  async reboot(): Promise<void> {
    const { qemu } = this.#running!;
    // It may be off before it has answered.
    await this.run("systemctl reboot 2>/dev/null || reboot").catch(() => {});
    const late = setTimeout(() => qemu.kill("SIGKILL"), PATIENCE * 1000);
    await qemu.status;
    clearTimeout(late);
    await this.cut();
    await this.on();
  }

  /** Runs a shell script on it to its end. */
  async run(script: string, seconds = PATIENCE): Promise<Output> {
    if (!this.#running) throw new Error("the machine is off");
    return await this.#running.control.run(script, seconds);
  }

  /** The standard output of a shell script that must succeed. */
  async ok(script: string, seconds = PATIENCE): Promise<string> {
    const { code, stdout, stderr } = await this.run(script, seconds);
    assertEquals(code, 0, `${script}\n${stdout}${stderr}`);
    return stdout;
  }

  /** Writes a file on it, with its directory. */
  async write(path: string, text: string): Promise<void> {
    const encoded = btoa(String.fromCharCode(...new TextEncoder().encode(text)));
    await this.ok(`mkdir -p '${path.slice(0, path.lastIndexOf("/"))}'
echo ${encoded} | base64 -d >'${path}'`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cut();
    await Deno.remove(this.dir, { recursive: true });
  }

  /** Where the kernel writes to. */
  get #console(): string {
    return `${this.dir}/console`;
  }

  #arguments(): string[] {
    return [
      ...["-accel", "tcg,thread=multi", ...CPU.machine, "-smp", PROCESSORS, "-m", `${this.memory}`],
      ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
      ...["-kernel", kernelFile(this.kernel, "vmlinuz"), "-initrd", this.initramfs],
      ...["-append", `console=${CPU.console} quiet panic=-1 systemd.show_status=1 ${EMULATED}`],
      ...["-serial", `file:${this.#console}`],
      // Nothing of the disk is kept in this machine's memory: a power cut is one.
      ...["-drive", `file=${this.disk},if=virtio,format=raw,cache=none`],
      ...["-chardev", "stdio,id=control,signal=off"],
      ...["-device", "virtio-serial", "-device", "virtserialport,chardev=control"],
    ];
  }
}
