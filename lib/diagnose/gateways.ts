/** The gateways that a container has. */
import type { Route } from "../netlink/mod.ts";
import type { Attached, Scene } from "./scene.ts";

const MOST = 4;

/** Whether no other route to the same place comes first: those behind it are for when it is gone. */
function isUsed(
  routes: readonly Route[],
  { family, destination, table, metric = 0 }: Route,
): boolean {
  return table === "main" &&
    !routes.some((other) =>
      other.family === family && other.destination === destination && other.table === table &&
      (other.metric ?? 0) < metric
    );
}

/** The gateways of an interface: those that routes name now, and those that its network's routes need. */
export function gatewaysOf({ inside }: Scene, { expected, link, checkpoint }: Attached): string[] {
  if (!link) return [];
  const routed = inside.routes.filter((route) => isUsed(inside.routes, route)).flatMap((route) => [
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
