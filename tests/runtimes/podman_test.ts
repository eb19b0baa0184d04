/** The port mapper in a list, called by a real podman with its CNI backend. */
import { assertEquals } from "@std/assert";
import { RuntimeHost } from "./host.ts";

Deno.test("podman: --publish reaches the container, and nothing is left of it", async () => {
  await using host = await RuntimeHost.open();
  const conf = await host.write(
    "containers.conf",
    [
      "[network]",
      'network_backend = "cni"',
      `cni_plugin_dirs = ["${host.dir}/plugins"]`,
      `network_config_dir = "${host.dir}/net.d"`,
      "[engine]",
      'cgroup_manager = "cgroupfs"',
      'events_logger = "file"',
      'runtime = "runc"',
    ].join("\n"),
  );
  const podman = (...args: string[]) =>
    host.agent.ok([
      "podman",
      `--root=${host.dir}/store`,
      `--runroot=${host.dir}/run`,
      `--tmpdir=${host.dir}/tmp`,
      "--storage-driver=vfs",
      ...args,
    ], { env: { CONTAINERS_CONF: conf } });

  await podman(
    "run",
    "--detach",
    "--name=web",
    "--network=mapped",
    "--publish=8080:80",
    // The limits of whoever runs the test may not be raised.
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
    `--rootfs`,
    `${host.dir}/rootfs`,
    "/bin/busybox",
    "httpd",
    "-f",
    "-h",
    "/www",
  );
  assertEquals(await host.fetch(8080), "hello\n");

  // Takes the network away and attaches it anew: a DEL and an ADD of a container that lives.
  await podman("network", "reload", "web");
  assertEquals(await host.fetch(8080), "hello\n");

  await podman("rm", "--force", "--time=0", "web");
  assertEquals(await host.left(), []);
});
