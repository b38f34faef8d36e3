// Fields of keys and values as the dumps print them.

import { formatIpv4At, formatIpv6 } from "../../../net/address.js";

/** A DataView over copied map bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Protocol names (pkg/u8proto); other numbers print as numbers. */
const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [0, "ANY"],
  [1, "ICMP"],
  [2, "IGMP"],
  [6, "TCP"],
  [17, "UDP"],
  [58, "ICMPv6"],
  [112, "VRRP"],
  [132, "SCTP"],
]);

export function protocolText(n: number): string {
  return PROTOCOLS.get(n) ?? String(n);
}

/** An address of 4 or 16 bytes. */
export function addressText(bytes: Uint8Array, off: number, ipv6: boolean): string {
  return ipv6 ? formatIpv6(bytes, off) : formatIpv4At(bytes, off);
}

/** `10.0.0.1:80`, IPv6 in brackets. */
export function hostPort(bytes: Uint8Array, off: number, ipv6: boolean, port: number): string {
  const a = addressText(bytes, off, ipv6);
  return ipv6 ? `[${a}]:${port}` : `${a}:${port}`;
}

/** `0x0010` */
export function hex(n: number, digits: number): string {
  return `0x${n.toString(16).padStart(digits, "0")}`;
}

/** A MAC of 6 bytes in capitals. */
export function macText(bytes: Uint8Array, off: number): string {
  return [...bytes.subarray(off, off + 6)]
    .map((b) => b.toString(16).padStart(2, "0").toUpperCase())
    .join(":");
}

/** A u64 as a number (beyond 2^53 bits are lost, which no counter of a lab reaches). */
export function u64(v: DataView, off: number): number {
  return Number(v.getBigUint64(off, true));
}
