/** Where the compiled program and the world's plugins are. */
import { fromFileUrl } from "@std/path";
import { exists } from "../../lib/base/exists.ts";

/** The program under test, which `./dev test` has made: compiled, or with a launcher in its place. */
export const MESOS_CNI: string = Deno.env.get("MESOS_CNI_TEST_PROGRAM") ??
  fromFileUrl(new URL("../../dist/mesos-cni", import.meta.url));

/**
 * Whether it is the compiled file. A launcher is small, needs Deno and the scripts where they are, and
 * Deno itself does not start in a directory that is gone: what is of the file alone is not seen with it.
 */
export const IS_COMPILED: boolean = !MESOS_CNI.includes("/uncompiled/");

/** Debian's containernetworking-plugins. */
export const CNI_PLUGINS = "/usr/lib/cni";

/** Not what a version manager has put before it in PATH: that one takes its time. */
export const PYTHON = exists("/usr/bin/python3") ? "/usr/bin/python3" : "python3";
