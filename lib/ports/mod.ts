/**
 * Port mappings of containers. The plugin's way is {@link Ports}: reserved before the container has
 * an address, committed once it has one; {@link remove} before it loses it. A runtime that recovers
 * or collects garbage has {@link listOwners}, {@link removeOwner} and {@link restoreMissing}.
 */
export type { Endpoint, Mapping, Owner, PortAttachment } from "./mapping.ts";
export type { MappingRecord } from "./record.ts";
export { lockAttachment } from "./locks.ts";
export { isOthers, refuseOthers } from "./liveness.ts";
export { isLedByReference } from "./strangers.ts";
export { type PortRequest, Ports } from "./reservation.ts";
export { remove, removeOwner, type Whereabouts } from "./removal.ts";
export { checkReady, findMissing, listMissing, restoreMissing } from "./restore.ts";
export { listOwners, type OwnerNow, walkOwners } from "./restore.ts";
