/** The least that `netns exec` does, of NETNS and PROGRAM: it enters the one and becomes the other. */
const { open, setns, execvp } = Deno.dlopen("libc.so.6", {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  setns: { parameters: ["i32", "i32"], result: "i32" },
  execvp: { parameters: ["buffer", "buffer"], result: "i32" },
}).symbols;

const [netns, program] = Deno.args.map((text) => new TextEncoder().encode(`${text}\0`));
const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(program!));
if (setns(open(netns!, 0), 0) === 0) execvp(program!, new BigUint64Array([address, 0n]));
Deno.exit(1);
