/** Whose a socket is, among processes that have many descriptors. */
import { assert, assertEquals } from "@std/assert";
import { socketOwners } from "../../lib/containers/processes.ts";
import { kernelTest } from "../harness/kernel.ts";
import { readProcFile } from "../../lib/kernel/files.ts";

kernelTest(
  "sockets that all are found end the look, and one that nobody has ends it in time",
  () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const port = listener.addr.port.toString(16).toUpperCase().padStart(4, "0");
    const line = readProcFile("/proc/net/tcp").split("\n").find((one) =>
      one.includes(`:${port} `)
    )!;
    const inode = Number(line.trim().split(/\s+/)[9]);
    const thousands = Array.from({ length: 500_000 }, () => Deno.pid);
    const start = performance.now();
    assertEquals(socketOwners([inode, 0], thousands).get(inode)?.pid, Deno.pid);
    const found = performance.now();
    assertEquals(socketOwners([1], thousands).size, 0);
    const [soon, late] = [found - start, performance.now() - found];
    assert(soon < 1_000 && late < 10_000, `${soon} ms, ${late} ms`);
  },
);
