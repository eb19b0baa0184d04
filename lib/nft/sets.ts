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
import { inTable, making, nfMessage, type Table } from "./changes.ts";
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
  const bytesOf = (fields: readonly SetField[]) =>
    fields.reduce((sum, field) => sum + registerBytes(field), 0);
  return newSet(table, name, flags, concatenatedType(key), bytesOf(key), [
    ...value
      ? [attribute(6, be32(concatenatedType(value))), attribute(7, be32(bytesOf(value)))]
      : [],
    attribute(10, be32(id)),
    // NFTA_SET_FIELD_LEN: where one field's range ends and the next one's begins.
    ...interval
      ? [nested(9, [
        nested(2, key.map((field) => nested(1, [attribute(1, be32(FIELDS[field].bytes))]))),
      ])]
      : [],
    attribute(13, typeofData(key, value)),
  ]);
}

/** An anonymous set of protocols, as `{ tcp, udp, sctp }` in a rule is one, and its elements. */
export function addProtocolSet(table: Table, name: string, id: number): Change[] {
  const { type, typeof: shown } = FIELDS["meta l4proto"];
  const elements = Object.values(PROTOCOL_NUMBERS)
    .map((number) => nested(1, [nested(1, [attribute(1, Uint8Array.of(number))])]));
  return [
    newSet(table, name, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT, type, 1, [
      attribute(10, be32(id)),
      nested(9, [attribute(1, be32(elements.length))]),
      attribute(13, concat([userData(0, Uint8Array.of(1, 0, 0, 0)), userData(3, shown)])),
    ]),
    making(NFT_MSG_NEWSETELEM, table, [
      attribute(2, cString(name)),
      attribute(4, be32(id)),
      nested(3, elements),
    ]),
  ];
}

function newSet(
  table: Table,
  name: string,
  flags: number,
  keyType: number,
  keyBytes: number,
  more: readonly Uint8Array[],
): Change {
  const numbers = [flags, keyType, keyBytes].map((number, i) => attribute(i + 3, be32(number)));
  return making(NFT_MSG_NEWSET, table, [attribute(2, cString(name)), ...numbers, ...more]);
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
  const data = (type: number, fields: readonly SetField[], values: FieldValues, isLast = false) =>
    nested(type, [attribute(1, encodeFields(fields, values, isLast))]);
  return nested(1, [
    data(1, set.key, key),
    ...set.interval ? [data(10, set.key, key, true)] : [],
    ...value ? [data(2, set.value!, value)] : [],
    ...comment === undefined ? [] : [attribute(6, commentData(comment))],
  ]);
}

/** @param isLast whether it is the end of a range */
function encodeFields(
  fields: readonly SetField[],
  values: FieldValues,
  isLast: boolean,
): Uint8Array<ArrayBuffer> {
  return concat(fields.map((field, index) => {
    const bytes = new Uint8Array(registerBytes(field));
    bytes.set(encodeField(field, values[index]!, isLast));
    return bytes;
  }));
}

function encodeField(field: SetField, value: string | number, isLast: boolean): Uint8Array {
  if (field === "meta l4proto") {
    return Uint8Array.of(PROTOCOL_NUMBERS[value as TransportProtocol] ?? Number(value));
  }
  if (field === "th dport") return Uint8Array.of(Number(value) >> 8, Number(value) & 0xff);
  if (field === "iifname") {
    // A wildcard is the range of all names that begin with what is before its `+`.
    const isWildcard = String(value).endsWith("+");
    const bytes = new Uint8Array(FIELDS.iifname.bytes).fill(isWildcard && isLast ? 0xff : 0);
    bytes.set(new TextEncoder().encode(isWildcard ? String(value).slice(0, -1) : String(value)));
    return bytes;
  }
  const [address, length] = String(value).split("/");
  const bytes = addressBytes(address!);
  if (length === undefined) return bytes;
  const network = networkBytes(bytes, Number(length));
  if (!isLast) return network;
  const mask = networkBytes(new Uint8Array(bytes.length).fill(0xff), Number(length));
  return network.map((byte, index) => byte | ~mask[index]!);
}

function decodeElement(set: SetDefinition, bytes: Uint8Array): SetElement | undefined {
  const element = new Attributes(bytes);
  if ((element.be32(3) ?? 0) & NFT_SET_ELEM_INTERVAL_END) return undefined;
  const [first, last, value] = [1, 10, 2].map((type) => element.nested(type).bytes(1));
  if (!first) return undefined;
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
    const [from, to] = [first, last].map((bytes) => {
      const end = offset + FIELDS[field].bytes;
      if (bytes && bytes.length < end) {
        throw malformed(`a key or value of ${bytes.length} bytes, not ${end}`);
      }
      return bytes?.slice(offset, end);
    });
    offset += registerBytes(field);
    const text = decodeField(field, from!);
    if (!to) return text;
    if (field === "iifname") return from!.at(-1) === to.at(-1) ? text : `${text}+`;
    return field.startsWith("ip") ? `${text}/${prefixLength(from!, to)}` : text;
  });
}

function decodeField(field: SetField, bytes: Uint8Array): string | number {
  if (field === "th dport") return bytes[0]! << 8 | bytes[1]!;
  if (field === "iifname") return new TextDecoder().decode(bytes).replace(/\0.*$/s, "");
  if (field !== "meta l4proto") return addressOf(bytes);
  return protocolOf(bytes[0]) ?? bytes[0]!;
}

/** How many bits two ends of a range share: the length of the prefix that it is. */
function prefixLength(first: Uint8Array, last: Uint8Array): number {
  const at = first.findIndex((byte, i) => byte !== last[i]);
  return at < 0 ? first.length * 8 : at * 8 + Math.clz32(first[at]! ^ last[at]!) - 24;
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
    ...value ? [userData(1, unknown)] : [],
    userData(3, concatExpression(key)),
    ...value ? [userData(4, concatExpression(value)), userData(6, unknown)] : [],
  ]);
}

/** EXPR_CONCAT, EXPR_META and EXPR_PAYLOAD of libnftables, each with what describes it. */
function concatExpression(fields: readonly SetField[]): Uint8Array<ArrayBuffer> {
  return described(13, fields.map((field) => FIELDS[field].typeof));
}

function metaExpression(key: number): Uint8Array<ArrayBuffer> {
  return described(9, [little(key)]);
}

function payloadExpression(header: number, field: number): Uint8Array<ArrayBuffer> {
  return described(7, [little(header), little(field)]);
}

function described(type: number, parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const description = concat(parts.map((part, i) => userData(i, part)));
  return concat([userData(0, little(type)), userData(1, description)]);
}

function little(value: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(value & 0xff, value >> 8, 0, 0);
}
