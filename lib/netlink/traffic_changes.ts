/**
 * Traffic control: queueing disciplines and filters (RTM_NEWQDISC, RTM_NEWTFILTER;
 * linux/pkt_sched.h, linux/pkt_cls.h).
 */
import { cString } from "../kernel/libc.ts";
import { type Change, changing, making } from "./change.ts";
import { attribute, nested, opened, structure, u32, view } from "./message.ts";
import { RTM, TCMSG_BYTES } from "./numbers.ts";

const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TC_H_ROOT = 0xffff_ffff;
const TC_H_INGRESS = 0xffff_fff1;
/** `ffff:`, which the ingress discipline always has. */
const INGRESS_HANDLE = 0xffff_0000;
/** `1:` */
const FIRST_HANDLE = 0x1_0000;
const TCA_TBF_PARMS = 1;
const TCA_TBF_RATE64 = 4;
/** struct tc_tbf_qopt */
const TBF_BYTES = 36;
const TCA_U32_CLASSID = 1;
const TCA_U32_SEL = 5;
const TCA_U32_ACT = 7;
const TC_U32_TERMINAL = 1;
const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
const TCA_MIRRED_PARMS = 2;
const TCA_EGRESS_REDIR = 1;
const TC_ACT_OK = 0;
const TC_ACT_STOLEN = 4;
const ETH_P_ALL = 0x0003;

/** A token bucket (tc-tbf(8)). */
export interface TokenBucket {
  /** In bytes a second. */
  rate: bigint;
  /** How many bytes may wait. */
  limit: number;
  /** The bucket's depth, in ticks of the packet scheduler. */
  buffer: number;
}

/** Limits what leaves by an interface. The kernel's `EEXIST`: it is limited already. */
export function addTokenBucket(index: number, bucket: TokenBucket): Change {
  const [low, high] = [Number(bucket.rate & 0xffff_ffffn), Number(bucket.rate >> 32n)];
  const options = structure(TBF_BYTES, [8, low, 4], [24, bucket.limit, 4], [28, bucket.buffer, 4]);
  return making(RTM.NEWQDISC, `limit what leaves by interface ${index}`, [
    header(index, FIRST_HANDLE, TC_H_ROOT),
    attribute(TCA_KIND, cString("tbf")),
    nested(TCA_OPTIONS, [
      attribute(TCA_TBF_PARMS, options),
      ...high > 0 ? [attribute(TCA_TBF_RATE64, structure(8, [0, low, 4], [4, high, 4]))] : [],
    ]),
  ]);
}

/** Undoes {@link addTokenBucket}. */
export function deleteTokenBucket(index: number): Change {
  return changing(RTM.DELQDISC, `limit interface ${index} no more`, [
    header(index, FIRST_HANDLE, TC_H_ROOT),
  ]);
}

/** Undoes {@link addIngress}, with the filters there. */
export function deleteIngress(index: number): Change {
  return changing(RTM.DELQDISC, `let go of what comes in by interface ${index}`, [
    header(index, INGRESS_HANDLE, TC_H_INGRESS),
  ]);
}

/** What comes in by an interface gets a discipline that filters can be added to. */
export function addIngress(index: number): Change {
  return making(RTM.NEWQDISC, `take hold of what comes in by interface ${index}`, [
    header(index, INGRESS_HANDLE, TC_H_INGRESS),
    attribute(TCA_KIND, cString("ingress")),
  ]);
}

/** Sends all that comes in by one interface out by another. */
export function addRedirection(index: number, to: number): Change {
  // struct tc_u32_sel with one key that all packets match
  const selector = structure(32, [0, TC_U32_TERMINAL, 1], [2, 1, 1]);
  return making(RTM.NEWTFILTER, `redirect what comes in by interface ${index}`, [
    header(index, 0, INGRESS_HANDLE, 1 << 16 | ETH_P_ALL << 8),
    attribute(TCA_KIND, cString("u32")),
    nested(TCA_OPTIONS, [
      attribute(TCA_U32_SEL, selector),
      attribute(TCA_U32_CLASSID, u32(FIRST_HANDLE | 1)),
      // The second is never reached; the reference writes it.
      nested(TCA_U32_ACT, [mirred(1, to, TC_ACT_STOLEN), mirred(2, to, TC_ACT_OK)]),
    ]),
  ]);
}

function mirred(order: number, to: number, action: number): Uint8Array {
  // struct tc_mirred
  const options = structure(28, [8, action, 4], [20, TCA_EGRESS_REDIR, 4], [24, to, 4]);
  return nested(order, [
    attribute(TCA_ACT_KIND, cString("mirred")),
    nested(TCA_ACT_OPTIONS, [attribute(TCA_MIRRED_PARMS, options)]),
  ]);
}

/** struct tcmsg */
export function header(index: number, handle: number, parent: number, info = 0): Uint8Array {
  return structure(TCMSG_BYTES, [4, index, 4], [8, handle, 4], [12, parent, 4], [16, info, 4]);
}

/** Decodes RTM_NEWQDISC: the index of the interface, and its token bucket if that is what it has. */
export function decodeTokenBucket(
  body: Uint8Array,
): { link: number; bucket: TokenBucket } | undefined {
  const [header, attributes] = opened(body, TCMSG_BYTES);
  if (attributes.text(TCA_KIND) !== "tbf") return undefined;
  const options = attributes.nested(TCA_OPTIONS);
  const parameters = options.bytes(TCA_TBF_PARMS);
  if (!parameters || parameters.length < TBF_BYTES) return undefined;
  const rate64 = options.u64(TCA_TBF_RATE64);
  return {
    link: header.getInt32(4, true),
    bucket: {
      rate: rate64 ?? BigInt(view(parameters).getUint32(8, true)),
      limit: view(parameters).getUint32(24, true),
      buffer: view(parameters).getUint32(28, true),
    },
  };
}
