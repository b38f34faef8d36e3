// Header fields of a snapshot: what a comparison names when they change, and what a page marks in the bytes. A snapshot
// holds the first bytes of a frame, with an Ethernet header or from the IP header on. Levels are counted from the inside:
// the last of `levels` is the outermost packet, levels[0] the pod's own.

import { formatIpv4At, formatIpv6, formatMac } from "../net/address.js";

/** A field at its place in the snapshot. */
export interface FrameField {
  /** As Wireshark and tcpdump users say it: `ip.ttl`, `eth.src`, `udp.dport`. */
  readonly name: string;
  readonly off: number;
  readonly len: number;
  readonly value: string;
}

/** One packet inside (or around) another. */
export interface FrameLevel {
  readonly fields: readonly FrameField[];
  readonly ip:
    | { readonly src: string; readonly dst: string; readonly ttl: number; readonly proto: number }
    | undefined;
  /** Encapsulation that carries the next level in: `VXLAN vni 4096`, `IPIP`. */
  readonly carries: string | undefined;
}

export interface DecodedFrame {
  /** True if the snapshot begins with an Ethernet header. */
  readonly ethernet: boolean;
  /** Innermost first. */
  readonly levels: readonly FrameLevel[];
}

const VXLAN_PORTS = new Set([4789, 8472]);
const GENEVE_PORT = 6081;

/** Takes a snapshot apart; what is cut off is left out. Never throws. */
export function decodeFrame(f: Uint8Array): DecodedFrame {
  const levels: FrameLevel[] = [];
  const ethernet = hasEthernet(f);
  level(f, 0, ethernet, levels);
  return { ethernet, levels: levels.reverse() };
}

/** Where the outermost IPv4 header of a snapshot begins; -1 if it has none. */
export function ipv4HeaderAt(f: Uint8Array): number {
  let o = 0;
  if (hasEthernet(f)) {
    let type = f.length < 14 ? 0 : u16(f, 12);
    o = 14;
    if (type === 0x8100 && f.length >= 18) {
      type = u16(f, 16);
      o = 18;
    }
    if (type !== 0x0800) return -1;
  }
  return f.length >= o + 20 && f[o]! >> 4 === 4 ? o : -1;
}

/** True if a snapshot begins with an Ethernet header rather than an IP header. */
export function hasEthernet(f: Uint8Array): boolean {
  if (f.length < 14) return false;
  const type = u16(f, 12);
  const v = f[14] ?? 0;
  if (type === 0x0800 && f.length >= 34 && v >> 4 === 4) return true;
  if (type === 0x86dd && v >> 4 === 6) return true;
  if (type === 0x0806 || type === 0x8100) return true;
  return f.length < 20 || !(f[0]! >> 4 === 4 && (f[0]! & 15) >= 5) ? f[0]! >> 4 !== 6 : false;
}

function level(f: Uint8Array, start: number, eth: boolean, out: FrameLevel[]): void {
  const fields: FrameField[] = [];
  const add = (name: string, off: number, len: number, value: string): void => {
    if (off + len <= f.length) fields.push({ name, off, len, value });
  };
  let o = start;
  let type = 0x0800;
  if (eth) {
    if (f.length < o + 14) return;
    add("eth.dst", o, 6, formatMac(f, o));
    add("eth.src", o + 6, 6, formatMac(f, o + 6));
    type = u16(f, o + 12);
    add("eth.type", o + 12, 2, `0x${type.toString(16).padStart(4, "0")}`);
    o += 14;
    if (type === 0x8100 && f.length >= o + 4) {
      add("vlan.id", o, 2, String(u16(f, o) & 0xfff));
      type = u16(f, o + 2);
      o += 4;
    }
  } else if (f.length > o && f[o]! >> 4 === 6) type = 0x86dd;
  if (type === 0x0806) {
    if (f.length >= o + 28) {
      add("arp.op", o + 6, 2, u16(f, o + 6) === 1 ? "request" : "reply");
      add("arp.sha", o + 8, 6, formatMac(f, o + 8));
      add("arp.spa", o + 14, 4, formatIpv4At(f, o + 14));
      add("arp.tha", o + 18, 6, formatMac(f, o + 18));
      add("arp.tpa", o + 24, 4, formatIpv4At(f, o + 24));
    }
    out.push({ fields, ip: undefined, carries: undefined });
    return;
  }
  let ip: FrameLevel["ip"];
  let carries: string | undefined;
  let next: { at: number; eth: boolean } | undefined;
  let proto = -1;
  let l4 = 0;
  if (type === 0x0800 && f.length >= o + 20) {
    const hl = (f[o]! & 15) * 4;
    add("ip.tos", o + 1, 1, `0x${f[o + 1]!.toString(16).padStart(2, "0")}`);
    add("ip.len", o + 2, 2, String(u16(f, o + 2)));
    add("ip.id", o + 4, 2, String(u16(f, o + 4)));
    add("ip.frag", o + 6, 2, fragText(u16(f, o + 6)));
    add("ip.ttl", o + 8, 1, String(f[o + 8]));
    proto = f[o + 9]!;
    add("ip.proto", o + 9, 1, String(proto));
    add("ip.checksum", o + 10, 2, hex16(f, o + 10));
    ip = { src: formatIpv4At(f, o + 12), dst: formatIpv4At(f, o + 16), ttl: f[o + 8]!, proto };
    add("ip.src", o + 12, 4, ip.src);
    add("ip.dst", o + 16, 4, ip.dst);
    l4 = o + hl;
    if ((u16(f, o + 6) & 0x1fff) !== 0) proto = -1;
  } else if (type === 0x86dd && f.length >= o + 40) {
    proto = f[o + 6]!;
    add("ipv6.nexthdr", o + 6, 1, String(proto));
    add("ipv6.hoplimit", o + 7, 1, String(f[o + 7]));
    ip = { src: formatIpv6(f, o + 8), dst: formatIpv6(f, o + 24), ttl: f[o + 7]!, proto };
    add("ipv6.src", o + 8, 16, ip.src);
    add("ipv6.dst", o + 24, 16, ip.dst);
    l4 = o + 40;
  }
  if (proto === 4) {
    carries = "IPIP";
    next = { at: l4, eth: false };
  } else if (proto === 6 && f.length >= l4 + 20) {
    add("tcp.sport", l4, 2, String(u16(f, l4)));
    add("tcp.dport", l4 + 2, 2, String(u16(f, l4 + 2)));
    add("tcp.seq", l4 + 4, 4, String(u32(f, l4 + 4)));
    add("tcp.ack", l4 + 8, 4, String(u32(f, l4 + 8)));
    add("tcp.flags", l4 + 13, 1, tcpFlags(f[l4 + 13]!));
    add("tcp.checksum", l4 + 16, 2, hex16(f, l4 + 16));
  } else if (proto === 17 && f.length >= l4 + 8) {
    const dport = u16(f, l4 + 2);
    add("udp.sport", l4, 2, String(u16(f, l4)));
    add("udp.dport", l4 + 2, 2, String(dport));
    add("udp.checksum", l4 + 6, 2, hex16(f, l4 + 6));
    const vni = (at: number): number => (f[at]! << 16) | (f[at + 1]! << 8) | f[at + 2]!;
    if (VXLAN_PORTS.has(dport) && f.length >= l4 + 16) {
      carries = `VXLAN vni ${vni(l4 + 12)}`;
      add("vxlan.vni", l4 + 12, 3, String(vni(l4 + 12)));
      next = { at: l4 + 16, eth: true };
    } else if (dport === GENEVE_PORT && f.length >= l4 + 16) {
      carries = `Geneve vni ${vni(l4 + 12)}`;
      add("geneve.vni", l4 + 12, 3, String(vni(l4 + 12)));
      next = { at: l4 + 16 + (f[l4 + 8]! & 0x3f) * 4, eth: true };
    }
  } else if ((proto === 1 || proto === 58) && f.length >= l4 + 8) {
    add("icmp.type", l4, 1, String(f[l4]));
    add("icmp.code", l4 + 1, 1, String(f[l4 + 1]));
    add("icmp.checksum", l4 + 2, 2, hex16(f, l4 + 2));
    add("icmp.id", l4 + 4, 2, String(u16(f, l4 + 4)));
    add("icmp.seq", l4 + 6, 2, String(u16(f, l4 + 6)));
  }
  out.push({ fields, ip, carries });
  if (next !== undefined && f.length >= next.at + (next.eth ? 34 : 20)) level(f, next.at, next.eth, out);
}

function u16(f: Uint8Array, o: number): number {
  return (f[o]! << 8) | f[o + 1]!;
}

function u32(f: Uint8Array, o: number): number {
  return ((f[o]! << 24) | (f[o + 1]! << 16) | (f[o + 2]! << 8) | f[o + 3]!) >>> 0;
}

function hex16(f: Uint8Array, o: number): string {
  return `0x${u16(f, o).toString(16).padStart(4, "0")}`;
}

function fragText(v: number): string {
  const parts = [(v & 0x4000) !== 0 ? "DF" : "", (v & 0x2000) !== 0 ? "MF" : ""].filter((s) => s !== "");
  if ((v & 0x1fff) !== 0) parts.push(`offset ${(v & 0x1fff) * 8}`);
  return parts.length === 0 ? "-" : parts.join(" ");
}

function tcpFlags(v: number): string {
  const names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
  return names.filter((_, i) => (v & (1 << i)) !== 0).join(" ") || "-";
}

/** A field that differs from what the walk showed before. */
export interface FieldChange {
  readonly field: string;
  readonly from: string;
  readonly to: string;
  readonly off: number;
  readonly len: number;
}

/** Follows the fields of a packet along its walk. */
export class FieldTracker {
  #levels: Map<string, string>[] = [];

  /** Changes that this snapshot shows against the ones before it; encapsulation shows as `+VXLAN vni 4096`, its end as `-`. */
  next(frame: Uint8Array): FieldChange[] {
    const { levels } = decodeFrame(frame);
    if (levels.length === 0) return [];
    const out: FieldChange[] = [];
    for (let i = 0; i < levels.length; i++) {
      const seen = this.#levels[i];
      const carries = levels[i]!.carries;
      if (seen === undefined) {
        this.#levels[i] = new Map(levels[i]!.fields.map((f) => [f.name, f.value]));
        if (i > 0 && carries !== undefined)
          out.push({ field: "encapsulation", from: "-", to: carries, off: 0, len: 0 });
        continue;
      }
      for (const f of levels[i]!.fields) {
        const before = seen.get(f.name);
        if (before !== undefined && before !== f.value)
          out.push({
            field: (i > 0 ? "outer " : "") + f.name,
            from: before,
            to: f.value,
            off: f.off,
            len: f.len,
          });
        seen.set(f.name, f.value);
      }
    }
    if (this.#levels.length > levels.length) {
      out.push({ field: "encapsulation", from: "present", to: "-", off: 0, len: 0 });
      this.#levels.length = levels.length;
    }
    return out;
  }
}
