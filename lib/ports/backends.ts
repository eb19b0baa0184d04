/** The backends by their names; each is loaded when a network asks for it. */
import type { Backend } from "./backend.ts";
import type { BackendName } from "./mapping.ts";

/** @param path where to look for the backend's programs first */
export async function backendOf(name: BackendName, path: string): Promise<Backend> {
  if (name === "nftables") return new (await import("./nftables.ts")).Nftables();
  return new (await import("./iptables.ts")).Iptables(path);
}
