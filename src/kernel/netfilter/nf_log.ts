// The line that LOG and the TRACE of the old back end write to the kernel log (net/netfilter/nf_log_syslog.c).

import type { Skb } from "../../bpf/skb.js";
import type { NetDevice } from "../device.js";
import { formatIpv4 } from "./text.js";

export const LOG_TCPSEQ = 1;
export const LOG_TCPOPT = 2;
export const LOG_IPOPT = 4;
export const LOG_UID = 8;
export const LOG_MACDECODE = 32;

const h2 = (v: number): string => v.toString(16).padStart(2, "0").toUpperCase();

/** nf_log_ip_packet: prefix, devices, link layer, headers. Ends with a space where the kernel's does. */
export function logLine(
  prefix: string,
  skb: Skb,
  inDev: NetDevice | null,
  outDev: NetDevice | null,
  flags: number,
): string {
  let s = `${prefix}IN=${inDev?.name ?? ""} OUT=${outDev?.name ?? ""} `;
  if (inDev !== null) {
    s += "MAC=";
    if (skb.mac >= 0 && skb.mac + 14 <= skb.data && inDev.hardHeaderLen === 14) {
      const b = skb.bytes;
      const part: string[] = [];
      for (let i = 0; i < 14; i++) part.push(b[skb.mac + i]!.toString(16).padStart(2, "0"));
      s += part.join(":");
    }
    s += " ";
  }
  s += ipPart(skb, skb.data, skb.tail, flags, 0);
  if (skb.mark !== 0) s += `MARK=0x${(skb.mark >>> 0).toString(16)} `;
  return s;
}

function ipPart(skb: Skb, n: number, end: number, flags: number, depth: number): string {
  const v = skb.view;
  if (n + 20 > end) return "TRUNCATED";
  const tos = v.getUint8(n + 1);
  let s = `SRC=${formatIpv4(v.getInt32(n + 12, true))} DST=${formatIpv4(v.getInt32(n + 16, true))} `;
  s += `LEN=${v.getUint16(n + 2, false)} TOS=0x${h2(tos & 0x1e)} PREC=0x${h2(tos & 0xe0)} `;
  s += `TTL=${v.getUint8(n + 8)} ID=${v.getUint16(n + 4, false)} `;
  const fo = v.getUint16(n + 6, false);
  if ((fo & 0x8000) !== 0) s += "CE ";
  if ((fo & 0x4000) !== 0) s += "DF ";
  if ((fo & 0x2000) !== 0) s += "MF ";
  const off = fo & 0x1fff;
  if (off !== 0) s += `FRAG:${off} `;
  const hl = (v.getUint8(n) & 15) << 2;
  if ((flags & LOG_IPOPT) !== 0 && hl > 20 && n + hl <= end) s += `OPT (${hexBytes(skb, n + 20, n + hl)}) `;
  const proto = v.getUint8(n + 9);
  const th = n + hl;
  switch (proto) {
    case 6:
      return s + tcpPart(skb, th, end, off, flags);
    case 17:
    case 136:
      s += proto === 17 ? "PROTO=UDP " : "PROTO=UDPLITE ";
      if (off !== 0) return s;
      if (th + 8 > end) return `${s}INCOMPLETE [${Math.max(0, end - th)} bytes] `;
      return `${s}SPT=${v.getUint16(th, false)} DPT=${v.getUint16(th + 2, false)} LEN=${v.getUint16(th + 4, false)} `;
    case 1: {
      s += "PROTO=ICMP ";
      if (off !== 0) return s;
      if (th + 8 > end) return `${s}INCOMPLETE [${Math.max(0, end - th)} bytes] `;
      const type = v.getUint8(th);
      const code = v.getUint8(th + 1);
      s += `TYPE=${type} CODE=${code} `;
      if (type === 0 || type === 8)
        return `${s}ID=${v.getUint16(th + 4, false)} SEQ=${v.getUint16(th + 6, false)} `;
      if (type === 3 || type === 4 || type === 11) {
        if (depth === 0) s += `[${ipPart(skb, th + 8, end, flags, 1)}] `;
        if (type === 3 && code === 4) s += `MTU=${v.getUint16(th + 6, false)} `;
      } else if (type === 12) s += `PARAMETER=${v.getUint8(th + 4)} `;
      else if (type === 5) s += `GATEWAY=${formatIpv4(v.getInt32(th + 4, true))} `;
      return s;
    }
    case 51:
      return `${s}PROTO=AH `;
    case 50:
      return `${s}PROTO=ESP `;
    default:
      return `${s}PROTO=${proto} `;
  }
}

function tcpPart(skb: Skb, th: number, end: number, off: number, flags: number): string {
  const v = skb.view;
  let s = "PROTO=TCP ";
  if (off !== 0) return s;
  if (th + 20 > end) return `${s}INCOMPLETE [${Math.max(0, end - th)} bytes] `;
  s += `SPT=${v.getUint16(th, false)} DPT=${v.getUint16(th + 2, false)} `;
  if ((flags & LOG_TCPSEQ) !== 0) s += `SEQ=${v.getUint32(th + 4, false)} ACK=${v.getUint32(th + 8, false)} `;
  s += `WINDOW=${v.getUint16(th + 14, false)} RES=0x${((v.getUint8(th + 12) & 15) << 2).toString(16).padStart(2, "0")} `;
  const f = v.getUint8(th + 13);
  if ((f & 128) !== 0) s += "CWR ";
  if ((f & 64) !== 0) s += "ECE ";
  if ((f & 32) !== 0) s += "URG ";
  if ((f & 16) !== 0) s += "ACK ";
  if ((f & 8) !== 0) s += "PSH ";
  if ((f & 4) !== 0) s += "RST ";
  if ((f & 2) !== 0) s += "SYN ";
  if ((f & 1) !== 0) s += "FIN ";
  s += `URGP=${v.getUint16(th + 18, false)} `;
  const hl = (v.getUint8(th + 12) >>> 4) << 2;
  if ((flags & LOG_TCPOPT) !== 0 && hl > 20 && th + hl <= end)
    s += `OPT (${hexBytes(skb, th + 20, th + hl)}) `;
  return s;
}

function hexBytes(skb: Skb, from: number, to: number): string {
  let s = "";
  for (let i = from; i < to; i++) s += h2(skb.bytes[i]!);
  return s;
}
