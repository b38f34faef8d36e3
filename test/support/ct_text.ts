// Conntrack maps as lines, for tests that compare them in full.

import type { BpfMap } from "../../maps/bpf_map.js";
import type { CiliumMaps } from "../../maps/cilium_maps.js";

/** Second at which PlainNode's clock begins: times are told from here. */
export const T0 = 1_000_000;

const PROTOCOLS: Readonly<Record<number, string>> = { 1: "ICMP", 6: "TCP", 17: "UDP", 132: "SCTP" };

/** What is compared of an entry; times in seconds since T0, -1 for a report that never was. */
export interface CtFacts {
  readonly expires: number;
  readonly flags: number;
  readonly rev: number;
  readonly tx: number;
  readonly rx: number;
  readonly src: number;
  readonly txReport: number;
  readonly rxReport: number;
  readonly backend: number;
}

/** `TCP OUT client:port > server:port`; REL marks the entry that ICMP errors of the connection meet. */
export function ctName(
  proto: number,
  kind: "OUT" | "IN" | "SVC",
  rel: boolean,
  client: string,
  server: string,
): string {
  return `${PROTOCOLS[proto] ?? proto} ${kind}${rel ? " REL" : ""} ${client} > ${server}`;
}

const FLAGS: readonly (readonly [number, string])[] = [
  [0x01, "RxClosing"],
  [0x02, "TxClosing"],
  [0x08, "LBLoopback"],
  [0x10, "SeenNonSyn"],
  [0x20, "NodePort"],
  [0x40, "ProxyRedirect"],
  [0x80, "DSRInternal"],
  [0x100, "FromL7LB"],
  [0x400, "FromTunnel"],
];

export function ctLine(name: string, f: CtFacts): string {
  const flags = FLAGS.filter(([bit]) => (f.flags & bit) !== 0).map(([, text]) => text);
  const seen = (n: number, at: number): string => `${n.toString(16).padStart(2, "0")}@${at < 0 ? "-" : at}`;
  return [
    name,
    `expires=${f.expires}`,
    ...(flags.length > 0 ? [flags.join("|")] : []),
    `tx=${seen(f.tx, f.txReport)}`,
    `rx=${seen(f.rx, f.rxReport)}`,
    ...(f.rev !== 0 ? [`rev=${f.rev}`] : []),
    ...(f.backend !== 0 ? [`backend=${f.backend}`] : []),
    `src=${f.src}`,
  ].join(" ");
}

function address(v: DataView, at: number): string {
  return [0, 1, 2, 3].map((i) => v.getUint8(at + i)).join(".");
}

function lines(map: BpfMap): string[] {
  return map.dump().map(({ key, value }) => {
    const k = new DataView(key.buffer, key.byteOffset, key.length);
    const v = new DataView(value.buffer, value.byteOffset, value.length);
    const flags = key[13];
    const svc = (flags & 4) !== 0;
    // Stored addresses are reversed and ports original; of services the other way round.
    const [one, two] = [address(k, 0), address(k, 4)];
    const [client, server] = svc
      ? [`${two}:${k.getUint16(8)}`, `${one}:${k.getUint16(10)}`]
      : [`${one}:${k.getUint16(10)}`, `${two}:${k.getUint16(8)}`];
    const kind = svc ? "SVC" : (flags & 1) !== 0 ? "IN" : "OUT";
    const since = (at: number): number => (v.getUint32(at, true) === 0 ? -1 : v.getUint32(at, true) - T0);
    return ctLine(ctName(key[12], kind, (flags & 2) !== 0, client, server), {
      expires: since(32),
      flags: v.getUint16(36, true),
      rev: v.getUint16(38),
      tx: value[42],
      rx: value[43],
      src: v.getUint32(44, true),
      txReport: since(48),
      rxReport: since(52),
      backend: svc ? v.getUint32(8, true) : 0,
    });
  });
}

/** Both IPv4 conntrack maps, sorted. */
export function ctLines(maps: CiliumMaps): string[] {
  return [...lines(maps.cilium_ct4_global), ...lines(maps.cilium_ct_any4_global)].sort();
}
