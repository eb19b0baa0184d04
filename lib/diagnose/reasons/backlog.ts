/** A listener that has no room for another connection. */
import { outputIn } from "../observe/counters.ts";

/** What waits to be accepted, against how much may (the queues of a listening socket). */
export async function fullBacklog(
  netns: string | undefined,
  port: number,
): Promise<string | undefined> {
  const text = await outputIn(netns, "ss", ["-Hltn", `sport = :${port}`]);
  for (const line of text.split("\n")) {
    const [, waiting, most] = /^LISTEN\s+(\d+)\s+(\d+)/.exec(line.trim()) ?? [];
    if (most !== undefined && Number(waiting) > 0 && Number(waiting) >= Number(most)) {
      return `${waiting} connections wait to be accepted, and it takes ${most} (Recv-Q, Send-Q)`;
    }
  }
  return undefined;
}
