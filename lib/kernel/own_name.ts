/**
 * The name that the caller used for this program: the first word of its arguments, as glibc keeps it
 * (program_invocation_name(3)). `node:process` has it too; Deno 2.9 takes half of a plugin's start to load
 * any module of Node's.
 */
export function ownName(): string {
  const libc = Deno.dlopen("libc.so.6", { program_invocation_name: { type: "pointer" } });
  // The symbol is a variable of the library, and what it holds is the text's address.
  const variable = new Deno.UnsafePointerView(libc.symbols.program_invocation_name!);
  const view = new Deno.UnsafePointerView(variable.getPointer()!);
  const bytes: number[] = [];
  for (let byte = view.getUint8(); byte !== 0; byte = view.getUint8(bytes.length)) bytes.push(byte);
  return new TextDecoder().decode(Uint8Array.from(bytes));
}
