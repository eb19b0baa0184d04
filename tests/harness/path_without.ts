/** The tools that a bare agent has: what commands must do without is not in its PATH. */
const TOOLS = [
  "sh",
  "bash",
  "cat",
  "sleep",
  "stty",
  "true",
  "false",
  "tcpdump",
  "iptables",
  "ip6tables",
  "nft",
  "nsenter",
  "busybox",
  "hostname",
];

/**
 * A PATH of one directory with the few programs of a bare agent: neither ip nor ss, and of
 * iptables only itself.
 */
export function pathWithout(dir: string): string {
  const path = `${dir}/bin`;
  Deno.mkdirSync(path, { recursive: true });
  for (const tool of TOOLS) {
    const program = Deno.env.get("PATH")!.split(":").map((at) => `${at}/${tool}`)
      .find((file) => exists(file));
    if (program && !exists(`${path}/${tool}`)) Deno.symlinkSync(program, `${path}/${tool}`);
  }
  return path;
}

function exists(file: string): boolean {
  try {
    Deno.lstatSync(file);
    return true;
  } catch {
    return false;
  }
}
