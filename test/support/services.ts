// Writes services as the agent would, and reads frames back, for tests of the service and NAT programs.

import type { CiliumMaps } from "../../maps/cilium_maps.js";

/** SVC_FLAG_* of maps/lb.ts, low byte `flags`, high byte `flags2`. */
export interface ServiceSpec {
  readonly address: number;
  readonly port: number;
  readonly proto?: number;
  readonly flags?: number;
  readonly flags2?: number;
  readonly rev: number;
  readonly scope?: number;
  /** affinity timeout (seconds) and algorithm share the first word. */
  readonly affinity?: number;
  readonly algorithm?: number;
  /** Number of backends that the frontend claims; the number of `backends` if not given. */
  readonly count?: number;
  readonly backends: readonly { readonly id: number; readonly address: number; readonly port: number }[];
}

/** Frontend, slots, backends and reverse entry of an IPv4 service. */
export function putService4(maps: CiliumMaps, s: ServiceSpec): void {
  const proto = s.proto ?? 6;
  const front = (slot: number, id: number): void => {
    const key = new Uint8Array(12);
    const k = new DataView(key.buffer);
    k.setInt32(0, s.address, true);
    k.setUint16(4, s.port, false);
    k.setUint16(6, slot, true);
    key[8] = s.port === 0 ? 0 : proto;
    key[9] = s.scope ?? 0;
    const value = new Uint8Array(12);
    const v = new DataView(value.buffer);
    v.setUint32(0, id, true);
    v.setUint16(4, slot === 0 ? (s.count ?? s.backends.length) : 0, true);
    v.setUint16(6, s.rev, false);
    value[8] = s.flags ?? 0;
    value[9] = s.flags2 ?? 0;
    maps.cilium_lb4_services_v2.set(key, value);
  };
  front(0, (s.affinity ?? 0) | ((s.algorithm ?? 0) << 24));
  s.backends.forEach((b, i) => {
    front(i + 1, b.id);
    const key = new Uint8Array(4);
    new DataView(key.buffer).setUint32(0, b.id, true);
    const value = new Uint8Array(12);
    const v = new DataView(value.buffer);
    v.setInt32(0, b.address, true);
    v.setUint16(4, b.port, false);
    value[6] = proto;
    maps.cilium_lb4_backends_v3.set(key, value);
  });
  const rev = new Uint8Array(2);
  new DataView(rev.buffer).setUint16(0, s.rev, false);
  const nat = new Uint8Array(6);
  const n = new DataView(nat.buffer);
  n.setInt32(0, s.address, true);
  n.setUint16(4, s.port, false);
  maps.cilium_lb4_reverse_nat.set(rev, nat);
}

/** What a TCP, UDP or ICMP frame says. Ports are those of the L4 header, or the ICMP identifier as `sport`. */
export interface Flow {
  readonly saddr: number;
  readonly daddr: number;
  readonly sport: number;
  readonly dport: number;
}

export function flowOf(frame: Uint8Array): Flow {
  const v = new DataView(frame.buffer, frame.byteOffset);
  const l4 = 14 + (frame[14] & 15) * 4;
  const icmp = frame[23] === 1;
  return {
    saddr: v.getInt32(26, true),
    daddr: v.getInt32(30, true),
    sport: icmp ? v.getUint16(l4 + 4) : v.getUint16(l4),
    dport: icmp ? 0 : v.getUint16(l4 + 2),
  };
}

function sum(frame: Uint8Array, from: number, to: number, seed: number): number {
  let s = seed;
  for (let i = from; i < to; i += 2) s += (frame[i] << 8) | (i + 1 < to ? frame[i + 1] : 0);
  while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
  return s;
}

/** True if the checksums of the IPv4 and of the TCP, UDP or ICMP header are right. */
export function checksumsRight(frame: Uint8Array): boolean {
  const l4 = 14 + (frame[14] & 15) * 4;
  const end = 14 + ((frame[16] << 8) | frame[17]);
  if (sum(frame, 14, l4, 0) !== 0xffff) return false;
  const pseudo = frame[23] === 1 ? 0 : sum(frame, 26, 34, frame[23] + end - l4);
  return sum(frame, l4, end, pseudo) === 0xffff;
}

/** An ICMP frame around `payload` (an IP packet for errors) with right checksums. */
export function icmpFrame(
  saddr: number,
  daddr: number,
  type: number,
  code: number,
  rest: number,
  payload: Uint8Array,
): Uint8Array {
  const f = new Uint8Array(14 + 20 + 8 + payload.length);
  const v = new DataView(f.buffer);
  f.set([0x0e, 0, 0, 0, 0, 0x0a, 0x0a, 0, 0, 0, 0, 0x0a, 0x08, 0x00]);
  v.setUint16(14, 0x4500);
  v.setUint16(16, f.length - 14);
  f[22] = 64;
  f[23] = 1;
  v.setInt32(26, saddr, true);
  v.setInt32(30, daddr, true);
  f[34] = type;
  f[35] = code;
  v.setUint32(38, rest);
  f.set(payload, 42);
  v.setUint16(24, ~sum(f, 14, 34, 0) & 0xffff);
  v.setUint16(36, ~sum(f, 34, f.length, 0) & 0xffff);
  return f;
}
