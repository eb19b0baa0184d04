import { assertEquals } from "@std/assert";
import { droppingSome, droppingSomeNft } from "../../lib/diagnose/readers/partial.ts";

Deno.test("rules that have dropped some packets of a connection: by iptables", () => {
  const text = `*filter
:INPUT DROP [3:180]
:FORWARD ACCEPT [0:0]
[5:300] -A FORWARD -o eno1 -p tcp -m string --string "POST /upload" --algo bm --to 65535 -j DROP
[0:0] -A FORWARD -m statistic --mode random --probability 0.4 -j DROP
[7:420] -A FORWARD -m recent --update --seconds 600 --hitcount 10 --name scan --rsource -j REJECT --reject-with icmp-port-unreachable
[9:540] -A FORWARD -s 10.0.0.0/8 -j DROP
[8:480] -A FORWARD -m iprange --src-range 198.51.100.0-198.51.100.127 -j DROP
[6:360] -A FORWARD -m conntrack --ctstate INVALID -j DROP
[6:360] -A FORWARD -m policy --dir in --pol none -j DROP
[6:360] -A FORWARD -p udplite -m udplite --dport 9 -m nfacct --nfacct-name lost -j DROP
[9:540] -A FORWARD -m set --match-set known src -j ACCEPT
[2:120] -A FORWARD -f -j DROP
COMMIT
`;
  assertEquals(droppingSome(text).map(({ chain, count }) => `${chain} ${count}`), [
    "FORWARD 5",
    "FORWARD 7",
    "FORWARD 8",
    "FORWARD 2",
  ]);
});

Deno.test("a rule cuts connections that may begin if it goes by what is in them, on the way of containers", () => {
  const isWithin = (rule: string) =>
    droppingSome(`*filter\n[5:300] ${rule}\nCOMMIT\n`).map((one) => one.isWithin);
  for (
    const match of [
      '-p tcp --dport 80 -m string --string "/admin" --algo bm',
      "-i web0 -p tcp -m length --length 1000:65535",
      "-m connbytes --connbytes 30000 --connbytes-mode bytes --connbytes-dir reply",
    ]
  ) {
    assertEquals(isWithin(`-A FORWARD ${match} -j DROP`), [true]);
    assertEquals(isWithin(`-A INPUT ${match} -j DROP`), [false]);
  }
  // By how many and by whom: what a firewall is for.
  for (
    const match of [
      "-p tcp --syn -m connlimit --connlimit-above 200",
      "-m set --match-set banned src",
      "-p icmp -m length --length 1000:65535",
    ]
  ) assertEquals(isWithin(`-A FORWARD ${match} -j DROP`), [false]);
});

Deno.test("rules of ICMP alone in the way of containers, unless answers are let through", () => {
  const rules = `[4:240] -A INPUT -p icmp -j DROP
[4:240] -A FORWARD -p icmp -j ICMP-IN
[4:240] -A FORWARD -p icmp -m icmp --icmp-type 8 -j DROP
[9:540] -A ICMP-IN -p icmp -m icmp --icmp-type 0 -j ACCEPT
[5:300] -A ICMP-IN -j DROP
[6:360] -A OTHERS -j DROP
`;
  const dropped = (text: string) =>
    droppingSome(`*filter\n${text}COMMIT\n`).map(({ chain, count, why }) =>
      `${chain} ${count} ${why}`
    );
  assertEquals(dropped(rules), ["ICMP-IN 5 ICMP"]);
  const related = "[9:540] -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n";
  assertEquals(dropped(related + rules), []);
});

Deno.test("rules that have dropped some packets of a connection: by nft, without those of iptables", () => {
  const text = `table netdev hard { # handle 4
\tchain in { # handle 1
\t\ttype filter hook ingress device "eno1" priority 0; policy accept;
\t\tip frag-off & 0x3fff != 0x0 counter packets 4 bytes 6000 drop
\t\tip saddr 192.0.2.1 counter packets 4 bytes 6000 drop
\t\tfib saddr . iif oif 0 counter packets 3 bytes 180 drop # handle 7
\t\tip saddr @banned counter packets 0 bytes 0 drop
\t}
}
table ip filter {
\tchain FORWARD {
\t\ttype filter hook forward priority 0; policy accept;
\t\txt match "string" counter packets 5 bytes 300 drop
\t\tip saddr @banned counter packets 2 bytes 120 reject
\t}
}
`;
  assertEquals(droppingSomeNft(text)[1]!.remove.slice(-1), ["7"]);
  assertEquals(
    droppingSomeNft(text).map(({ family, table, chain, count }) => [family, table, chain, count]),
    [["netdev", "hard", "in", 4], ["netdev", "hard", "in", 3], ["ip", "filter", "FORWARD", 2]],
  );
});
