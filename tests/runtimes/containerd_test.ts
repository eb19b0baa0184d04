/** The port mapper in a list, called by a real containerd for a pod of its CRI. */
import { assertEquals } from "@std/assert";
import { until } from "../harness/agent.ts";
import { Cri, type Message } from "./cri.ts";
import { RuntimeHost } from "./host.ts";

const IMAGE = "localhost/pause:test";

/** An image whose command serves the page, in the archive format of `docker save`. */
async function importImage(host: RuntimeHost, ctr: string[]): Promise<void> {
  const { agent, dir } = host;
  await agent.ok(["mkdir", `${dir}/image`]);
  await agent.ok(["tar", "-C", `${dir}/rootfs`, "-cf", `${dir}/image/layer.tar`, "."]);
  const sum = (await agent.ok(["sha256sum", `${dir}/image/layer.tar`])).split(" ")[0];
  await host.write(
    "image/config.json",
    JSON.stringify({
      architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
      os: "linux",
      config: { Entrypoint: ["/bin/busybox", "httpd", "-f", "-h", "/www"] },
      rootfs: { type: "layers", diff_ids: [`sha256:${sum}`] },
    }),
  );
  await host.write(
    "image/manifest.json",
    JSON.stringify([{ Config: "config.json", RepoTags: [IMAGE], Layers: ["layer.tar"] }]),
  );
  await agent.ok(["tar", "-C", `${dir}/image`, "-cf", `${dir}/image.tar`, "."]);
  await agent.ok([...ctr, "--namespace=k8s.io", "images", "import", `${dir}/image.tar`]);
}

/** PodSandboxConfig of runtime.v1: metadata 1, hostname 2, log_directory 3, port_mappings 5. */
const pod = (name: string, hostPort: number): Message => [
  [1, [[1, name], [2, `uid-${name}`], [3, "default"]]],
  [2, name],
  [5, [[2, 80], [3, hostPort]]],
  [8, [[1, "/mesos-cni-test"]]],
];

Deno.test("containerd: a pod's host port reaches it, is used again, and nothing is left", async () => {
  await using host = await RuntimeHost.open();
  const socket = `${host.dir}/containerd.sock`;
  const config = await host.write(
    "config.toml",
    `version = 2
root = "${host.dir}/root"
state = "${host.dir}/state"
[grpc]
address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${IMAGE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "${host.dir}/plugins"
conf_dir = "${host.dir}/net.d"
`,
  );
  const daemon = host.agent.spawn(["containerd", `--config=${config}`]);
  const drained = [daemon.stdout, daemon.stderr].map((stream) =>
    stream.pipeTo(new WritableStream())
  );
  try {
    const ctr = ["ctr", `--address=${socket}`];
    const answers = async () => (await host.agent.run([...ctr, "version"])).code === 0;
    await until(answers, "containerd's answer");
    await importImage(host, ctr);
    // The socket is in the sandbox's own /run.
    using cri = new Cri(`/proc/${host.agent.pid}/root${socket}`);
    for (const name of ["one", "two"]) {
      const id = await cri.call("RunPodSandbox", [[1, pod(name, 8080)]]);
      assertEquals(await host.fetch(8080), "hello\n");
      await cri.call("StopPodSandbox", [[1, id]]);
      await cri.call("RemovePodSandbox", [[1, id]]);
      assertEquals(await host.left(), []);
    }
  } finally {
    daemon.kill("SIGTERM");
    await Promise.all(drained);
    await daemon.status;
    await daemon.stdin.close().catch(() => {});
  }
});
