/** Twins of the kinds of interfaces that this machine's kernel may lack. */
import { DOWNLOADED, Machine } from "../harness/machine/machine.ts";
import { MachinePlace } from "../harness/machine/place.ts";
import { longMachineTest } from "../harness/machine/test.ts";
import { heldOutCases } from "../twins/held_out.ts";
import { OURS, REFERENCE, RELEASE, TwinNetwork } from "../twins/network.ts";
import { judgeAll } from "../twins/run.ts";

/** Where the reference is in the machine. */
const THEIRS = "/opt/reference";

longMachineTest("twins that need a machine come to the same with the reference", async (t) => {
  const files = { "/usr/sbin/nft": "/usr/sbin/nft", [THEIRS]: REFERENCE };
  await using machine = await Machine.start({ parts: ["iptables", "iproute2"], files });
  // Two that need a module at once would both try to load it.
  await machine.ok(
    "for kind in 8021q ipvlan dummy vrf veth bridge macvlan sctp; do modprobe $kind; done",
  );
  await judgeAll(t, {
    cases: heldOutCases(RELEASE, "machine"),
    release: RELEASE,
    atOnce: 2,
    steps: async (twin, whose) => {
      await using network = await TwinNetwork.create(
        await MachinePlace.create(machine),
        DOWNLOADED,
      );
      return await network.run(twin, () => whose === "theirs" ? THEIRS : OURS);
    },
  });
});
