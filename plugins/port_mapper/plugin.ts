import type { Plugin } from "../../lib/cni/invocation.ts";
export const portMapper: Plugin = () => Promise.reject(new Error("the port mapper is being built"));
