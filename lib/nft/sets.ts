/**
 * Sets and maps of nf_tables whose keys and values are concatenations, and their elements.
 *
 * `nft` shows a key by the expressions that it was made of (`typeof meta l4proto . th dport`).
 * The kernel keeps these as user data, in a format of libnftables.
 */
import { concat } from "../base/bytes.ts";
import { addressBytes, networkBytes } from "../base/ip.ts";
import { cString } from "../kernel/libc.ts";
import {
  addressOf,
  attribute,
  Attributes,
  eachAttribute,
  malformed,
  type Message,
  nested,
  NLM_F_CREATE,
  opened,
} from "../netlink/message.ts";
import { type Change, unlessAbsent, withNfnetlink } from "./batch.ts";
import { inTable, nfMessage, type Table } from "./changes.ts";
import {
  be32,
  commentData,
  commentIn,
  PROTOCOL_NUMBERS,
  protocolOf,
  type TransportProtocol,
  userData,
} from "./wire.ts";

const NFT_MSG_NEWSET = nfMessage(9);
const NFT_MSG_NEWSETELEM = nfMessage(12);
const NFT_MSG_GETSETELEM = nfMessage(13);
const NFT_MSG_DELSETELEM = nfMessage(14);

const NFT_SET_ANONYMOUS = 0x1;
const NFT_SET_CONSTANT = 0x2;
const NFT_SET_INTERVAL = 0x4;
const NFT_SET_MAP = 0x8;
const NFT_SET_CONCAT = 0x80;
const NFT_SET_ELEM_INTERVAL_END = 1;

/** Part of a key or a value. */
export type SetField = keyof typeof FIELDS;

/** What a part is: its type (libnftables' datatype), its bytes, and the expression it is shown as. */
const FIELDS = {
  "meta l4proto": { type: 12, bytes: 1, typeof: metaExpression(16) },
  "th dport": { type: 13, bytes: 2, typeof: payloadExpression(11, 2) },
  "ip saddr": { type: 7, bytes: 4, typeof: payloadExpression(12, 11) },
  "ip daddr": { type: 7, bytes: 4, typeof: payloadExpression(12, 12) },
  "ip6 saddr": { type: 8, bytes: 16, typeof: payloadExpression(13, 8) },
  "ip6 daddr": { type: 8, bytes: 16, typeof: payloadExpression(13, 9) },
  "iifname": { type: 41, bytes: 16, typeof: metaExpression(6) },
} as const;

/** A set, or with `value` a map. */
export interface SetDefinition {
  name: string;
  key: readonly SetField[];
  value?: readonly SetField[];
  /** Whether its keys are ranges: networks, as ADDRESS/LENGTH. */
  interval?: boolean;
}

/**
 * Values by the fields of their set, as an operator writes them: `tcp`, 80, 10.0.0.1, and in sets of
 * ranges 10.0.0.0/8 and `cali+`.
 */
export type FieldValues = readonly (string | number)[];

export interface SetElement {
  key: FieldValues;
  value?: FieldValues;
  comment?: string;
}

/** A field takes whole registers of 4 bytes. */
function registerBytes(field: SetField): number {
  return (FIELDS[field].bytes + 3) & ~3;
}

export function addSet(table: Table, set: SetDefinition, id: number): Change {
  const { name, key, value, interval = false } = set;
  const flags = (value ? NFT_SET_MAP : 0) | (interval ? NFT_SET_INTERVAL | NFT_SET_CONCAT : 0);
  const kindOf = (fields: readonly SetField[]) => [
    be32(concatenatedType(fields)),
    be32(fields.reduce((sum, field) => sum + registerBytes(field), 0)),
  ];
  const [valueType, valueLength] = value ? kindOf(value) : [];
  return newSet(table, name, flags, kindOf(key), [
    ...(valueType && valueLength ? [attribute(6, valueType), attribute(7, valueLength)] : []),
    attribute(10, be32(id)),
    // NFTA_SET_FIELD_LEN: where one field's range ends and the next one's begins.
    ...(interval
      ? [nested(9, [
        nested(2, key.map((field) => nested(1, [attribute(1, be32(FIELDS[field].bytes))]))),
      ])]
      : []),
    attribute(13, typeofData(key, value)),
  ]);
}

/** An anonymous set of protocols, as `{ tcp, udp, sctp }` in a rule is one, and its elements. */
export function addProtocolSet(table: Table, name: string, id: number): Change[] {
  const { type, typeof: shown } = FIELDS["meta l4proto"];
  const numbers = Object.values(PROTOCOL_NUMBERS);
  const elements = numbers.map((number) =>
    nested(1, [nested(1, [attribute(1, new Uint8Array([number]))])])
  );
  return [
    newSet(table, name, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT, [be32(type), be32(1)], [
      attribute(10, be32(id)),
      nested(9, [attribute(1, be32(numbers.length))]),
      attribute(13, concat([userData(0, new Uint8Array([1, 0, 0, 0])), userData(3, shown)])),
    ]),
    {
      type: NFT_MSG_NEWSETELEM,
      flags: NLM_F_CREATE,
      parts: [...elementsOf(table, name), attribute(4, be32(id)), nested(3, elements)],
    },
  ];
}

/** @param key its type and its length */
function newSet(
  table: Table,
  name: string,
  flags: number,
  [keyType, keyLength]: Uint8Array[],
  more: readonly Uint8Array[],
): Change {
  return {
    type: NFT_MSG_NEWSET,
    flags: NLM_F_CREATE,
    parts: [
      ...elementsOf(table, name),
      attribute(3, be32(flags)),
      attribute(4, keyType!),
      attribute(5, keyLength!),
      ...more,
    ],
  };
}

/** What fits one attribute, whose length is 16 bits. */
const ELEMENTS_AT_ONCE = 200;

/** Adds elements. One that is there with the same value is no error; with another it is. */
export function addElements(
  table: Table,
  set: SetDefinition,
  elements: readonly SetElement[],
): Change[] {
  return elementChanges({ type: NFT_MSG_NEWSETELEM, flags: NLM_F_CREATE }, table, set, elements);
}

/** Deletes elements by their keys; `ENOENT` if one is not there. */
export function deleteElements(
  table: Table,
  set: SetDefinition,
  elements: readonly SetElement[],
): Change[] {
  const keys = elements.map(({ key }) => ({ key }));
  return elementChanges({ type: NFT_MSG_DELSETELEM }, table, set, keys);
}

function elementChanges(
  message: Omit<Change, "parts">,
  table: Table,
  set: SetDefinition,
  elements: readonly SetElement[],
): Change[] {
  const encoded = elements.map((element) => encodeElement(set, element));
  return Array.from({ length: Math.ceil(encoded.length / ELEMENTS_AT_ONCE) }, (_, i) => {
    const part = encoded.slice(i * ELEMENTS_AT_ONCE, (i + 1) * ELEMENTS_AT_ONCE);
    return { ...message, parts: [...elementsOf(table, set.name), nested(3, part)] };
  });
}

function elementsOf(table: Table, set: string): Uint8Array[] {
  return [...inTable(table), attribute(2, cString(set))];
}

/** Lists a set's elements; none if there is no such set. @throws {SystemError} */
export function readElements(table: Table, set: SetDefinition): SetElement[] {
  const what = `list the elements of ${set.name}`;
  const lists = unlessAbsent(() =>
    withNfnetlink((socket) =>
      socket.dump(
        NFT_MSG_GETSETELEM,
        elementsOf(table, set.name),
        what,
        (message) => decodeElements(message, set),
      )
    )
  );
  return lists?.flat() ?? [];
}

/** Decodes NFT_MSG_NEWSETELEM. @throws {OperatorError} `kernel_answer` */
export function decodeElements({ body }: Message, set: SetDefinition): SetElement[] {
  const list = opened(body, 4)[1].bytes(3) ?? new Uint8Array();
  return [...eachAttribute(list)].flatMap(([, bytes]) => decodeElement(set, bytes) ?? []);
}

function encodeElement(set: SetDefinition, { key, value, comment }: SetElement): Uint8Array {
  const data = (bytes: Uint8Array) => [attribute(1, bytes)];
  const parts = [nested(1, data(encodeFields(set.key, key, "first")))];
  if (set.interval) parts.push(nested(10, data(encodeFields(set.key, key, "last"))));
  if (value) parts.push(nested(2, data(encodeFields(set.value!, value, "first"))));
  if (comment !== undefined) parts.push(attribute(6, commentData(comment)));
  return nested(1, parts);
}

function encodeFields(
  fields: readonly SetField[],
  values: FieldValues,
  end: "first" | "last",
): Uint8Array<ArrayBuffer> {
  return concat(fields.map((field, index) => {
    const bytes = new Uint8Array(registerBytes(field));
    bytes.set(encodeField(field, values[index]!, end));
    return bytes;
  }));
}

function encodeField(field: SetField, value: string | number, end: "first" | "last"): Uint8Array {
  if (field === "meta l4proto") {
    return new Uint8Array([PROTOCOL_NUMBERS[value as TransportProtocol] ?? Number(value)]);
  }
  if (field === "th dport") return new Uint8Array([Number(value) >> 8, Number(value) & 0xff]);
  if (field === "iifname") return deviceBytes(String(value), end);
  const [address, length] = String(value).split("/");
  const bytes = addressBytes(address!);
  if (length === undefined) return bytes;
  const network = networkBytes(bytes, Number(length));
  if (end === "first") return network;
  const mask = networkBytes(new Uint8Array(bytes.length).fill(0xff), Number(length));
  return network.map((byte, index) => byte | ~mask[index]!);
}

/** A wildcard is the range of all names that begin with what is before its `+`. */
function deviceBytes(name: string, end: "first" | "last"): Uint8Array {
  const isWildcard = name.endsWith("+");
  const bytes = new Uint8Array(FIELDS.iifname.bytes);
  if (isWildcard && end === "last") bytes.fill(0xff);
  bytes.set(new TextEncoder().encode(isWildcard ? name.slice(0, -1) : name));
  return bytes;
}

function decodeElement(set: SetDefinition, bytes: Uint8Array): SetElement | undefined {
  const element = new Attributes(bytes);
  if ((element.be32(3) ?? 0) & NFT_SET_ELEM_INTERVAL_END) return undefined;
  const first = element.nested(1).bytes(1);
  if (!first) return undefined;
  const last = element.nested(10).bytes(1);
  const value = element.nested(2).bytes(1);
  return {
    key: decodeFields(set.key, first, set.interval ? last : undefined),
    ...(set.value && value ? { value: decodeFields(set.value, value) } : {}),
    comment: commentIn(element.bytes(6)),
  };
}

function decodeFields(
  fields: readonly SetField[],
  first: Uint8Array,
  last?: Uint8Array,
): FieldValues {
  let offset = 0;
  return fields.map((field) => {
    const slice = (bytes: Uint8Array) => {
      const end = offset + FIELDS[field].bytes;
      if (bytes.length < end) {
        throw malformed(`a key or value of ${bytes.length} bytes, not ${end}`);
      }
      return bytes.slice(offset, end);
    };
    const [from, to] = [slice(first), last && slice(last)];
    offset += registerBytes(field);
    const text = decodeField(field, from);
    if (!to) return text;
    if (field === "iifname") return from.at(-1) === to.at(-1) ? text : `${text}+`;
    return field.startsWith("ip") ? `${text}/${prefixLength(from, to)}` : text;
  });
}

function decodeField(field: SetField, bytes: Uint8Array): string | number {
  if (field === "th dport") return bytes[0]! << 8 | bytes[1]!;
  if (field === "iifname") return new TextDecoder().decode(bytes.subarray(0, end(bytes)));
  if (field !== "meta l4proto") return addressOf(bytes);
  return protocolOf(bytes[0]) ?? bytes[0]!;
}

function end(bytes: Uint8Array): number {
  const nul = bytes.indexOf(0);
  return nul < 0 ? bytes.length : nul;
}

/** How many bits two ends of a range share: the length of the prefix that it is. */
function prefixLength(first: Uint8Array, last: Uint8Array): number {
  for (let bit = 0; bit < first.length * 8; bit++) {
    const mask = 0x80 >> (bit & 7);
    if (((first[bit >> 3]! ^ last[bit >> 3]!) & mask) !== 0) return bit;
  }
  return first.length * 8;
}

/** libnftables' number of a concatenation: 6 bits for the type of each part. */
function concatenatedType(fields: readonly SetField[]): number {
  return fields.reduce((type, field) => type << 6 | FIELDS[field].type, 0);
}

/** NFTNL_UDATA_SET_*: byte orders (0, 1), the expressions of key (3) and value (4), no ranges (6). */
function typeofData(
  key: readonly SetField[],
  value: readonly SetField[] | undefined,
): Uint8Array<ArrayBuffer> {
  const unknown = new Uint8Array(4);
  return concat([
    userData(0, unknown),
    ...(value ? [userData(1, unknown)] : []),
    userData(3, concatExpression(key)),
    ...(value ? [userData(4, concatExpression(value)), userData(6, unknown)] : []),
  ]);
}

/** EXPR_CONCAT, EXPR_META and EXPR_PAYLOAD of libnftables, each with what describes it. */
function concatExpression(fields: readonly SetField[]): Uint8Array<ArrayBuffer> {
  const parts = fields.map((field, index) => userData(index, FIELDS[field].typeof));
  return described(13, concat(parts));
}

function metaExpression(key: number): Uint8Array<ArrayBuffer> {
  return described(9, userData(0, little(key)));
}

function payloadExpression(header: number, field: number): Uint8Array<ArrayBuffer> {
  return described(7, concat([userData(0, little(header)), userData(1, little(field))]));
}

function described(type: number, description: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat([userData(0, little(type)), userData(1, description)]);
}

function little(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array([value & 0xff, value >> 8, 0, 0]);
}
