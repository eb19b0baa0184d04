/** The backends by their names; each is loaded when a network asks for it. */
import { findTool } from "../program/tool.ts";
import type { Backend } from "./backend.ts";
import type { BackendName } from "./mapping.ts";

/** @param path where to look for the backend's programs first */
export async function backendOf(name: BackendName, path: string): Promise<Backend> {
  if (name === "nftables") return new (await import("./nftables.ts")).Nftables();
  return new (await import("./iptables.ts")).Iptables(path);
}

/**
 * The backend of a network that names none. Where there is no iptables, nobody looks for rules in
 * its tables, and the other backend needs no program.
 *
 * @param path where to look for iptables first
 */
export function usualBackend(path: string): BackendName {
  return findTool("iptables", path) === undefined ? "nftables" : "iptables";
}
