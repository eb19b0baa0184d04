/**
 * The result of ADD in memory: the newest form (specification 1.1.0), whatever version it was
 * read from. Addresses are text with prefix length, as plugins print them.
 */
export interface Result {
  interfaces: Interface[];
  ips: IpConfig[];
  routes: Route[];
  dns: Dns;
}

export interface Interface {
  name: string;
  mac?: string;
  mtu?: number;
  /** Path of the namespace; absent for an interface of the host. */
  sandbox?: string;
  socketPath?: string;
  pciID?: string;
}

export interface IpConfig {
  /** CIDR notation, such as `192.168.0.2/16`. */
  address: string;
  gateway?: string;
  /** Index into `interfaces`; absent where the result's version has none. */
  interface?: number;
}

export interface Route {
  dst: string;
  gw?: string;
  mtu?: number;
  advmss?: number;
  priority?: number;
  table?: number;
  scope?: number;
}

export interface Dns {
  nameservers?: string[];
  domain?: string;
  search?: string[];
  options?: string[];
}
