/** What `--probe` asks of the machine. Each is asked at most once, and only by a rule that needs it. */
export interface Link {
  name: string;
  mtu: number;
  /** `bridge`, `veth`, `vlan`, …; empty for a physical device. */
  kind: string;
  /** In CIDR notation. */
  addresses: string[];
}

export interface Machine {
  links(): readonly Link[];
  /** Destinations of the main routing table in CIDR notation, default routes left out. */
  routes(): readonly { dst: string; dev: string }[];
  /** The device of the default route. */
  defaultDevice(): string | undefined;
  /** `1.8.9`; undefined if there is no iptables. */
  iptablesVersion(): string | undefined;
  /** Whether iptables knows the comment match. */
  hasCommentMatch(): boolean;
  /** Whether the kernel can make links of this kind; undefined if that can't be told. */
  hasLinkKind(kind: string): boolean | undefined;
  /** The versions a plugin lists when asked with VERSION; undefined if it doesn't answer. */
  pluginVersions(file: string): readonly string[] | undefined;
  /** Permission bits of a file; undefined if there is none. */
  mode(path: string): number | undefined;
}
