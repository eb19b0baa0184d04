import type { Sandbox } from "./sandbox.ts";

/** A container that may do little, as a container runtime starts one. Prints its pid as the agent sees it. */
export async function confined(agent: Sandbox, ...limits: string[]): Promise<{
  pid: number;
  end(): Promise<void>;
}> {
  const child = agent.spawn([
    "unshare",
    ...["--net", "--mount", "--pid", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child"],
    ...["--mount-proc", "setpriv", ...limits, "sh", "-c", "echo up; exec sleep 1000"],
  ]);
  const reader = child.stdout.getReader();
  await reader.read();
  reader.releaseLock();
  const pid = Number((await agent.ok(["pgrep", "-P", `${child.pid}`])).trim());
  return {
    pid,
    async end() {
      await agent.run(["kill", "-9", `${pid}`]);
      await child.stdin.close().catch(() => {});
      await Promise.all([child.stdout.cancel(), child.stderr.cancel(), child.status]);
    },
  };
}
