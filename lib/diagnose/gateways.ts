/** The gateways that a container has. */
import type { Attached, Scene } from "./scene.ts";

const MOST = 4;

/** The gateways of an interface: those that routes name now, and those that its network's routes need. */
export function gatewaysOf({ inside }: Scene, { expected, link, checkpoint }: Attached): string[] {
  if (!link) return [];
  const routed = inside.routes.flatMap((route) => [
    ...route.link === link.index && route.gateway && route.type === "unicast"
      ? [route.gateway]
      : [],
    ...route.hops?.flatMap((hop) => hop.link === link.index && hop.gateway ? [hop.gateway] : []) ??
      [],
  ]);
  // host-local names a gateway also where no route leads by it, and then nobody need have it.
  const wanted = expected.flatMap(({ gateway, family }) =>
    gateway !== undefined &&
      checkpoint?.result?.routes.some(({ dst, gw }) =>
        dst.includes(":") === (family === 6) && (gw === undefined || gw === gateway)
      )
      ? [gateway]
      : []
  );
  return [...new Set([...wanted, ...routed])].filter((one) => !one.startsWith("fe80:")).slice(
    0,
    MOST,
  );
}
