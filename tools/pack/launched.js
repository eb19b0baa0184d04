/**
 * What a program that `launcher.c` started takes for its own file: the launcher, as a compiled program
 * would be, and not the runtime behind it. The launcher's first operand is its own path.
 */
const own = Deno.args.shift();
Deno.execPath = () => own;
