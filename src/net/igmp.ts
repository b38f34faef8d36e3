// IGMP version 2 (RFC 2236) and the head of version 3 (RFC 3376): as much as classification and printing need.
//
//   offset  size  field
//   0       1     type
//   1       1     code   maximum response time, tenths of a second
//   2       2     check  over the whole message, no pseudo header
//   4       4     group  (version 3 report: reserved 2, number of records 2)

import type { Be32 } from "../base/brand.js";

export const IGMP_HLEN = 8;

export const IGMP_HOST_MEMBERSHIP_QUERY = 0x11;
export const IGMP_HOST_MEMBERSHIP_REPORT = 0x12;
export const IGMPV2_HOST_MEMBERSHIP_REPORT = 0x16;
export const IGMP_HOST_LEAVE_MESSAGE = 0x17;
export const IGMPV3_HOST_MEMBERSHIP_REPORT = 0x22;

export function type(view: DataView, off: number): number {
  return view.getUint8(off);
}

export function code(view: DataView, off: number): number {
  return view.getUint8(off + 1);
}

export function check(view: DataView, off: number): number {
  return view.getUint16(off + 2);
}

export function group(view: DataView, off: number): Be32 {
  return view.getInt32(off + 4, true) as Be32;
}

/** Number of group records of a version 3 report. */
export function records(view: DataView, off: number): number {
  return view.getUint16(off + 6);
}
