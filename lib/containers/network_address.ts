/** The addresses that a plugin's result gives to one interface. */
import type { Checkpoint } from "./checkpoint.ts";

/** An address as a plugin gives it. */
export interface NetworkAddress {
  family: 4 | 6;
  address: string;
  prefixLength: number;
  gateway?: string;
}

/** The addresses of the checkpoint's interface; a result may describe others' too. */
export function networkAddresses({ result, ifName }: Checkpoint): NetworkAddress[] {
  if (!result) return [];
  return result.ips.filter(({ interface: index }) => {
    const owner = index === undefined ? undefined : result.interfaces[index];
    return !owner || !owner.sandbox || owner.name === ifName;
  }).map(({ address, gateway }) => {
    const [bare, length] = address.split("/") as [string, string];
    return {
      family: bare.includes(":") ? 6 : 4,
      address: bare,
      prefixLength: Number(length),
      gateway,
    };
  });
}

/** The same, as people write them. */
export function addressTexts(checkpoint: Checkpoint): string[] {
  return networkAddresses(checkpoint).map((one) => `${one.address}/${one.prefixLength}`);
}
