/** The gateways that a container has. */
import type { Route } from "../netlink/mod.ts";
import type { Attached, Scene } from "../facts/scene.ts";

const MOST = 4;

/** Of a table's routes to the same place the first: those behind it are for when it is gone. */
export function usedOf(routes: readonly Route[]): Route[] {
  const least = new Map<string, number>();
  const keyOf = ({ family, destination }: Route) => `${family} ${destination}`;
  for (const one of routes) {
    const metric = Math.min(one.metric ?? 0, least.get(keyOf(one)) ?? Infinity);
    least.set(keyOf(one), metric);
  }
  return routes.filter((one) => (one.metric ?? 0) === least.get(keyOf(one)));
}

/** The gateways of an interface: those that routes name now, and those that its network's routes need. */
export function gatewaysOf({ inside }: Scene, { expected, link, checkpoint }: Attached): string[] {
  if (!link) return [];
  const routed = usedOf(([4, 6] as const).flatMap((one) => inside.routesOf(one, "main")))
    .filter(({ type }) => type === "unicast").flatMap((route) =>
      (route.hops ?? [route]).flatMap((hop) =>
        hop.link === link.index && hop.gateway ? [hop.gateway] : []
      )
    );
  // host-local names a gateway also where no route leads by it, and then nobody need have it.
  const wanted = expected.flatMap(({ gateway, family }) =>
    gateway !== undefined &&
      checkpoint?.result?.routes.some(({ dst, gw }) =>
        dst.includes(":") === (family === 6) && (gw === undefined || gw === gateway)
      )
      ? [gateway]
      : []
  );
  const all = [...new Set([...wanted, ...routed])].filter((one) => !one.startsWith("fe80:"));
  return all.slice(0, MOST);
}
