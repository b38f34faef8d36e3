// Samples of all kinds, built from fields: what tests and benchmarks of the monitor are made of.

import { fromHex } from "../../src/net/view.js";

/** A packet from its hex, spaces allowed. */
export function packet(hex: string): Uint8Array {
  const bytes = fromHex(hex.replace(/\s+/g, ""));
  if (bytes === undefined) throw new Error(`not hex: ${hex}`);
  return bytes;
}

export const ETH4 = "42eff87a9ef7 ca0efa6c0f30 0800";
export const ETH6 = "42eff87a9ef7 ca0efa6c0f30 86dd";

/** Frames of the protocols that the dissector knows; IPv4 is 10.0.0.85 -> 10.0.1.124 unless said otherwise. */
export const FRAMES = {
  icmpEcho: packet(`${ETH4} 45000054b29440003e0174440a0000550a00017c 0800517d0c000000 ${"00".repeat(56)}`),
  tcpSyn: packet(
    `${ETH4} 4500003cb29440003e0674570a0000550a00017c 870700500000000000000000a002faf012340000 020405b40402080a000000010000000001030307`,
  ),
  tcpData: packet(
    `${ETH4} 4500003ab29440003e0674590a0000550a00017c 87070050000003e8000007d0501801f6beef0000 474554202f20485454502f312e310d0a0d0a`,
  ),
  udpDns: packet(`${ETH4} 45000025000000004011648f0a0000550a00017c 870700350011 0000 616263646566676869`),
  tcp6: packet(
    `${ETH6} 600000000019063f fd000000000000000000000000000055 fd00001002440000000000000001007c 870701bb000003e8000007d0501801f6beef0000 68656c6c6f`,
  ),
  icmp6Solicit: packet(
    `${ETH6} 6000000000203aff fe800000000000000000000000000001 ff0200000000000000000001ff000002 8700abcd00000000 fe800000000000000000000000000002 0101ca0efa6c0f30`,
  ),
  arp: packet("ffffffffffff ca0efa6c0f30 0806 0001080006040001ca0efa6c0f300a0000550000000000000a00017c"),
  sctp: packet(`${ETH4} 45000024000000004084641d0a0000550a00017c 870713880000000712345678 03000004`),
  vrrp: packet(`${ETH4} 45000020000000004070643d0a000055e0000012 2107640100010000 0a0000fe`),
  igmp: packet(`${ETH4} 46000020000000000102 0000 0a000055e0000016 94040000 1164ee9be0000001`),
  hopByHop: packet(
    `${ETH6} 6000000000200001 fe800000000000000000000000000001 ff020000000000000000000000000016 3a00050200000100 8f00abcd000000010400000000000000000000000000000000000000`,
  ),
  ipip: packet(
    `${ETH4} 4500003c000000004004640a0a0000010a000002 45000028b29440003e06746b0a0000550a00017c 87070050000003e8000007d0501801f6beef0000`,
  ),
  vxlan: packet(
    `${ETH4} 4500005db29440003e1107b1c0a80078c0a80082 afc82118004900000800000012345600 ${ETH4} 4500002bb29440003e0674680a0000550a00017c 87070050000003e8000007d0501801f6beef0000 474554`,
  ),
  geneve: packet(
    `${ETH4} 45000065b29440003e1107a9c0a80078c0a80082 afc817c1005100000200655800123400 0102030140000000 ${ETH4} 4500002bb29440003e0674680a0000550a00017c 87070050000003e8000007d0501801f6beef0000 474554`,
  ),
} as const;

/** Appends the ring's padding: `fill` up to a length of 8n + 4. */
export function padded(sample: Uint8Array, fill = 0): Uint8Array {
  const out = new Uint8Array(((sample.length + 4 + 7) & ~7) - 4).fill(fill);
  out.set(sample);
  return out;
}

function header(length: number, type: number, subtype: number, source: number, hash: number): DataView {
  const v = new DataView(new ArrayBuffer(length));
  v.setUint8(0, type);
  v.setUint8(1, subtype);
  v.setUint16(2, source, true);
  v.setUint32(4, hash, true);
  return v;
}

function withPacket(v: DataView, frame: Uint8Array): Uint8Array {
  v.setUint32(8, frame.length, true);
  v.setUint16(12, frame.length, true);
  const out = new Uint8Array(v.byteLength + frame.length);
  out.set(new Uint8Array(v.buffer));
  out.set(frame, v.byteLength);
  return out;
}

/** A trace of version 2 (1.19) or 1 (1.11). */
export function trace(
  o: {
    release?: "1.19" | "1.11";
    point?: number;
    source?: number;
    hash?: number;
    src?: number;
    dst?: number;
    dstId?: number;
    reason?: number;
    flags?: number;
    ifindex?: number;
    origIp?: Uint8Array;
    traceId?: bigint;
  },
  frame: Uint8Array,
): Uint8Array {
  const old = o.release === "1.11";
  const v = header(old ? 48 : 56, 4, o.point ?? 0, o.source ?? 1580, o.hash ?? 0);
  v.setUint8(14, old ? 1 : 2);
  v.setUint32(16, o.src ?? 3352, true);
  v.setUint32(20, o.dst ?? 3352, true);
  v.setUint16(24, o.dstId ?? 0, true);
  v.setUint8(26, o.reason ?? 0);
  v.setUint8(27, o.flags ?? 0);
  v.setUint32(28, o.ifindex ?? 0, true);
  if (o.origIp !== undefined) new Uint8Array(v.buffer).set(o.origIp, 32);
  if (!old) v.setBigUint64(48, o.traceId ?? 0n, true);
  return withPacket(v, frame);
}

/** A drop of version 3 (1.19) or the one layout of 1.11. */
export function drop(
  o: {
    release?: "1.19" | "1.11";
    reason?: number;
    source?: number;
    src?: number;
    dst?: number;
    dstId?: number;
    file?: number;
    line?: number;
    extError?: number;
    ifindex?: number;
    flags?: number;
    traceId?: bigint;
  },
  frame: Uint8Array,
): Uint8Array {
  const old = o.release === "1.11";
  const v = header(old ? 32 : 48, 1, o.reason ?? 133, o.source ?? 1580, 0);
  v.setUint8(14, old ? 1 : 3);
  v.setUint32(16, o.src ?? 3352, true);
  v.setUint32(20, o.dst ?? 2, true);
  v.setUint32(24, o.dstId ?? 0, true);
  if (!old) {
    v.setUint16(28, o.line ?? 1234, true);
    v.setUint8(30, o.file ?? 2);
    v.setInt8(31, o.extError ?? 0);
    v.setUint32(32, o.ifindex ?? 26, true);
    v.setUint8(36, o.flags ?? 0);
    v.setBigUint64(40, o.traceId ?? 0n, true);
  }
  return withPacket(v, frame);
}

/** A debug message. */
export function debug(code: number, a1 = 0, a2 = 0, a3 = 0, source = 1580): Uint8Array {
  const v = header(20, 2, code, source, 0);
  v.setUint32(8, a1, true);
  v.setUint32(12, a2, true);
  v.setUint32(16, a3, true);
  return new Uint8Array(v.buffer);
}

/** A debug capture. */
export function capture(code: number, a1: number, frame: Uint8Array): Uint8Array {
  const v = header(24, 3, code, 1580, 0);
  v.setUint8(14, 1);
  v.setUint32(16, a1, true);
  return withPacket(v, frame);
}

/** A policy verdict. */
export function policyVerdict(
  o: {
    release?: "1.19" | "1.11";
    remote?: number;
    verdict?: number;
    proto?: number;
    flags?: number;
    auth?: number;
  },
  frame: Uint8Array,
): Uint8Array {
  const v = header(o.release === "1.11" ? 32 : 40, 5, 0, 1580, 0);
  v.setUint8(14, 1);
  v.setUint32(16, o.remote ?? 3352, true);
  v.setInt32(20, o.verdict ?? 0, true);
  v.setUint8(26, o.proto ?? 6);
  v.setUint8(27, o.flags ?? 0x11);
  if (o.release !== "1.11") v.setUint8(28, o.auth ?? 0);
  return withPacket(v, frame);
}

/** A socket trace. */
export function traceSock(point: number, proto: number, port: number, ip: Uint8Array): Uint8Array {
  const v = new DataView(new ArrayBuffer(44));
  v.setUint8(0, 7);
  v.setUint8(1, point);
  v.setUint8(2, proto);
  v.setUint8(3, ip.length === 16 ? 1 : 0);
  v.setUint16(4, port, true);
  v.setBigUint64(8, 77n, true);
  v.setBigUint64(16, 0xffff_ffff_ffff_ffffn, true);
  new Uint8Array(v.buffer).set(ip, 24);
  return new Uint8Array(v.buffer);
}

/** A recorder capture of 1.11. */
export function recorder(direction: number, frame: Uint8Array): Uint8Array {
  const v = header(24, 6, direction, 7, 0);
  v.setBigUint64(8, 123456789n, true);
  v.setUint32(16, frame.length, true);
  v.setUint32(20, frame.length + 10, true);
  const out = new Uint8Array(24 + frame.length);
  out.set(new Uint8Array(v.buffer));
  out.set(frame, 24);
  return out;
}

/** One sample of every kind that the datapath has, for both releases, over every frame. */
export function allDatapathSamples(): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (const release of ["1.19", "1.11"] as const) {
    for (const [name, frame] of Object.entries(FRAMES)) {
      const flags = name === "vxlan" ? 4 : name === "geneve" ? 8 : name.includes("6") ? 1 : 0;
      out.push(padded(trace({ release, flags, ifindex: 26, dstId: 1580 }, frame)));
      out.push(padded(drop({ release, flags }, frame)));
      out.push(padded(policyVerdict({ release }, frame)));
    }
    // Without the Ethernet header, as L3 devices have it.
    out.push(trace({ release, flags: 2 }, FRAMES.tcpSyn.subarray(14)));
    out.push(trace({ release, flags: 3 }, FRAMES.tcp6.subarray(14)));
  }
  for (const frame of Object.values(FRAMES)) {
    out.push(padded(capture(4, 26, frame)));
    out.push(padded(recorder(1, frame)));
  }
  for (let code = 0; code < 70; code++) out.push(padded(debug(code, 0x5500000a, 0x7c01000a, 0x00000c00)));
  out.push(
    traceSock(1, 1, 80, packet("0a600001")),
    traceSock(4, 2, 53, packet("fd0000000000000000000000000000aa")),
  );
  return out;
}
