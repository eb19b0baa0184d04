/** Where the compiled program and the world's plugins are. */
import { fromFileUrl } from "@std/path";

/** The compiled binary under test; `./dev test` builds it first. */
export const MESOS_CNI: string = fromFileUrl(new URL("../../dist/mesos-cni", import.meta.url));

/** Debian's containernetworking-plugins. */
export const CNI_PLUGINS = "/usr/lib/cni";
