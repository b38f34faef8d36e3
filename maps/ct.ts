// Conntrack: cilium_ct4_global (TCP), cilium_ct_any4_global (everything else and RELATED entries), their IPv6
// twins, and the per-cluster maps of them (bpf/lib/conntrack_map.h, struct ct_entry of bpf/lib/common.h).
//
//   key v4  0 4 daddr   4 4 saddr   8 2 dport   10 2 sport   12 1 nexthdr   13 1 flags
//   key v6  0 16 daddr  16 16 saddr  32 2 dport  34 2 sport  36 1 nexthdr   37 1 flags
//   value   0 16 nat_addr (v4 in bytes 12..15), or in SERVICE entries  0 8 -  8 8 backend_id
//           16 8 packets   24 8 bytes   32 4 lifetime   36 2 flags   38 2 rev_nat_index (be)
//           40 2 nat_port (be)   42 1 tx_flags_seen   43 1 rx_flags_seen   44 4 src_sec_id
//           48 4 last_tx_report  52 4 last_rx_report
//
// IN and OUT entries hold the addresses in reverse and the ports in original direction, SERVICE entries the other
// way round; the programs put the tuple into that form, the map only stores it.

import type { BpfMap } from "./bpf_map.js";
import { setAddr6 } from "./layout.js";
import type { MapSpec } from "./spec.js";

/** Seen leaving an endpoint. */
export const TUPLE_F_OUT = 0;
/** Seen entering an endpoint. */
export const TUPLE_F_IN = 1;
/** Bit: ICMP errors that belong to the connection of the other bits. */
export const TUPLE_F_RELATED = 2;
/** Connection to a service, before translation. */
export const TUPLE_F_SERVICE = 4;

/** Nominal sizes; dynamicMapSizes (sizes.ts) gives what an agent really configures. */
export const CT_MAP_SIZE_TCP = 524288;
export const CT_MAP_SIZE_ANY = 262144;

export const CT4_KEY_SIZE = 14;
export const CT6_KEY_SIZE = 38;
export const CT_ENTRY_SIZE = 56;

export const CT4_TCP_SPEC: MapSpec = {
  name: "cilium_ct4_global",
  type: "lru_hash",
  keySize: CT4_KEY_SIZE,
  valueSize: CT_ENTRY_SIZE,
  maxEntries: CT_MAP_SIZE_TCP,
};
export const CT4_ANY_SPEC: MapSpec = {
  ...CT4_TCP_SPEC,
  name: "cilium_ct_any4_global",
  maxEntries: CT_MAP_SIZE_ANY,
};
export const CT6_TCP_SPEC: MapSpec = { ...CT4_TCP_SPEC, name: "cilium_ct6_global", keySize: CT6_KEY_SIZE };
export const CT6_ANY_SPEC: MapSpec = {
  ...CT4_ANY_SPEC,
  name: "cilium_ct_any6_global",
  keySize: CT6_KEY_SIZE,
};

/** Per-cluster conntrack: index = cluster id, 256 places, only with overlapping pod CIDRs. */
function perCluster(name: string, inner: MapSpec): MapSpec {
  return { name, type: "array_of_maps", keySize: 4, valueSize: 4, maxEntries: 256, inner };
}
export const PER_CLUSTER_CT4_TCP_SPEC = perCluster("cilium_per_cluster_ct_tcp4", CT4_TCP_SPEC);
export const PER_CLUSTER_CT4_ANY_SPEC = perCluster("cilium_per_cluster_ct_any4", CT4_ANY_SPEC);
export const PER_CLUSTER_CT6_TCP_SPEC = perCluster("cilium_per_cluster_ct_tcp6", CT6_TCP_SPEC);
export const PER_CLUSTER_CT6_ANY_SPEC = perCluster("cilium_per_cluster_ct_any6", CT6_ANY_SPEC);

/** struct ipv4_ct_tuple, also the key of the NAT maps. Addresses are Be32, ports Be16. */
export class CtTuple4 {
  readonly words = new Int32Array(4);

  /** Be32. In IN and OUT entries the source of the original direction. */
  get daddr(): number {
    return this.words[0];
  }
  set daddr(v: number) {
    this.words[0] = v;
  }
  /** Be32. In IN and OUT entries the destination of the original direction. */
  get saddr(): number {
    return this.words[1];
  }
  set saddr(v: number) {
    this.words[1] = v;
  }
  /** Be16, destination port of the original direction (SERVICE entries: the source port). */
  get dport(): number {
    return this.words[2] & 0xffff;
  }
  set dport(v: number) {
    this.words[2] = (this.words[2] & ~0xffff) | (v & 0xffff);
  }
  /** Be16, source port of the original direction (SERVICE entries: the destination port). */
  get sport(): number {
    return this.words[2] >>> 16;
  }
  set sport(v: number) {
    this.words[2] = (this.words[2] & 0xffff) | (v << 16);
  }
  /** Both port fields as one word: dport in the low half, sport in the high one (the four bytes of a header). */
  get ports(): number {
    return this.words[2];
  }
  set ports(v: number) {
    this.words[2] = v;
  }
  /** IP protocol number. */
  get nexthdr(): number {
    return this.words[3] & 0xff;
  }
  set nexthdr(v: number) {
    this.words[3] = (this.words[3] & 0xff00) | (v & 0xff);
  }
  /** TUPLE_F_*. */
  get flags(): number {
    return (this.words[3] >>> 8) & 0xff;
  }
  set flags(v: number) {
    this.words[3] = (this.words[3] & 0xff) | ((v & 0xff) << 8);
  }

  /** Exchanges the addresses. */
  swapAddrs(): void {
    const w = this.words;
    const a = w[0];
    w[0] = w[1];
    w[1] = a;
  }

  /** Exchanges the ports. */
  swapPorts(): void {
    const w = this.words;
    w[2] = (w[2] << 16) | (w[2] >>> 16);
  }

  /** Takes over all fields. */
  copyFrom(t: CtTuple4): void {
    const w = this.words;
    const o = t.words;
    w[0] = o[0];
    w[1] = o[1];
    w[2] = o[2];
    w[3] = o[3];
  }
}

/** struct ipv6_ct_tuple. The addresses are words 0..3 (daddr) and 4..7 (saddr). */
export class CtTuple6 {
  readonly words = new Int32Array(10);

  /** The 16 address bytes at `off`; see CtTuple4 for which end it is. */
  setDaddr(view: DataView, off: number): void {
    setAddr6(this.words, 0, view, off);
  }
  /** The same for the other end. */
  setSaddr(view: DataView, off: number): void {
    setAddr6(this.words, 4, view, off);
  }
  /** Last word of the destination address: what debug messages show. */
  get daddrP4(): number {
    return this.words[3];
  }
  /** The same of the source address. */
  get saddrP4(): number {
    return this.words[7];
  }
  get dport(): number {
    return this.words[8] & 0xffff;
  }
  set dport(v: number) {
    this.words[8] = (this.words[8] & ~0xffff) | (v & 0xffff);
  }
  get sport(): number {
    return this.words[8] >>> 16;
  }
  set sport(v: number) {
    this.words[8] = (this.words[8] & 0xffff) | (v << 16);
  }
  get ports(): number {
    return this.words[8];
  }
  set ports(v: number) {
    this.words[8] = v;
  }
  get nexthdr(): number {
    return this.words[9] & 0xff;
  }
  set nexthdr(v: number) {
    this.words[9] = (this.words[9] & 0xff00) | (v & 0xff);
  }
  get flags(): number {
    return (this.words[9] >>> 8) & 0xff;
  }
  set flags(v: number) {
    this.words[9] = (this.words[9] & 0xff) | ((v & 0xff) << 8);
  }

  swapAddrs(): void {
    const w = this.words;
    for (let i = 0; i < 4; i++) {
      const a = w[i];
      w[i] = w[i + 4];
      w[i + 4] = a;
    }
  }

  swapPorts(): void {
    const w = this.words;
    w[8] = (w[8] << 16) | (w[8] >>> 16);
  }

  /** Takes over all fields. */
  copyFrom(t: CtTuple6): void {
    for (let i = 0; i < 10; i++) this.words[i] = t.words[i];
  }
}

// Word indices of struct ct_entry.
/** nat_addr, four words; the IPv4 address is the last one. */
export const CT_NAT_ADDR_W = 0;
export const CT_NAT_ADDR4_W = 3;
/** SERVICE entries only: low word of the u64. */
export const CT_BACKEND_ID_W = 2;
/** u64, only counted with conntrack accounting. */
export const CT_PACKETS_W = 4;
/** u64, likewise. */
export const CT_BYTES_W = 6;
/** Expiry, absolute mono units. */
export const CT_LIFETIME_W = 8;
/** flags in the low half, rev_nat_index in the high one. */
export const CT_FLAGS_W = 9;
/** nat_port in the low half, then tx_flags_seen and rx_flags_seen. */
export const CT_NAT_PORT_W = 10;
export const CT_SRC_SEC_ID_W = 11;
export const CT_LAST_TX_REPORT_W = 12;
export const CT_LAST_RX_REPORT_W = 13;
export const CT_ENTRY_WORDS = 14;

// Bits of the flags.
export const CT_F_RX_CLOSING = 0x0001;
/** FIN or RST seen from the endpoint. */
export const CT_F_TX_CLOSING = 0x0002;
/** A pod reached itself through a service. */
export const CT_F_LB_LOOPBACK = 0x0008;
/** TCP got past its SYN: the long timeout applies. */
export const CT_F_SEEN_NON_SYN = 0x0010;
/** Request of a node port service: replies need reverse translation. */
export const CT_F_NODE_PORT = 0x0020;
/** Policy sent the connection to the L7 proxy. */
export const CT_F_PROXY_REDIRECT = 0x0040;
/** Backend side of direct server return: nat_addr and nat_port hold the service. */
export const CT_F_DSR_INTERNAL = 0x0080;
/** The connection comes from the L7 load balancer. */
export const CT_F_FROM_L7LB = 0x0100;
/** The request came through the overlay: replies go back through it. */
export const CT_F_FROM_TUNNEL = 0x0400;

/**
 * struct ct_entry: a value of its own for `update`, or, after `point`, a cursor on a map's slot. As a cursor it is
 * valid until the next insertion into that map (growing replaces the words).
 */
export class CtEntry {
  readonly #own = new Int32Array(CT_ENTRY_WORDS);
  words: Int32Array = this.#own;
  at = 0;

  /** Lets it stand for the entry in `slot`. */
  point(map: BpfMap, slot: number): this {
    this.words = map.words;
    this.at = slot * map.valueWords;
    return this;
  }

  /** Lets it stand for its own, zeroed words again. */
  reset(): this {
    this.words = this.#own;
    this.at = 0;
    this.#own.fill(0);
    return this;
  }

  /** Be32; service address of a DSR connection. */
  get nat_addr4(): number {
    return this.words[this.at + CT_NAT_ADDR4_W];
  }
  set nat_addr4(v: number) {
    this.words[this.at + CT_NAT_ADDR4_W] = v;
  }
  /** Low word of the u64; backend ids are u32. */
  get backend_id(): number {
    return this.words[this.at + CT_BACKEND_ID_W];
  }
  set backend_id(v: number) {
    this.words[this.at + CT_BACKEND_ID_W] = v;
  }
  /** When it may be collected, mono units (absolute). */
  get lifetime(): number {
    return this.words[this.at + CT_LIFETIME_W];
  }
  set lifetime(v: number) {
    this.words[this.at + CT_LIFETIME_W] = v;
  }
  get flags(): number {
    return this.words[this.at + CT_FLAGS_W] & 0xffff;
  }
  set flags(v: number) {
    const i = this.at + CT_FLAGS_W;
    this.words[i] = (this.words[i] & ~0xffff) | (v & 0xffff);
  }
  /** As stored: network order. */
  get rev_nat_index(): number {
    return this.words[this.at + CT_FLAGS_W] >>> 16;
  }
  set rev_nat_index(v: number) {
    const i = this.at + CT_FLAGS_W;
    this.words[i] = (this.words[i] & 0xffff) | (v << 16);
  }
  /** Be16; service port of a DSR connection. */
  get nat_port(): number {
    return this.words[this.at + CT_NAT_PORT_W] & 0xffff;
  }
  set nat_port(v: number) {
    const i = this.at + CT_NAT_PORT_W;
    this.words[i] = (this.words[i] & ~0xffff) | (v & 0xffff);
  }
  /** TCP flags (of the report mask) seen leaving the endpoint. */
  get tx_flags_seen(): number {
    return (this.words[this.at + CT_NAT_PORT_W] >>> 16) & 0xff;
  }
  set tx_flags_seen(v: number) {
    const i = this.at + CT_NAT_PORT_W;
    this.words[i] = (this.words[i] & ~0xff0000) | ((v & 0xff) << 16);
  }
  /** TCP flags (of the report mask) seen entering it. */
  get rx_flags_seen(): number {
    return this.words[this.at + CT_NAT_PORT_W] >>> 24;
  }
  set rx_flags_seen(v: number) {
    const i = this.at + CT_NAT_PORT_W;
    this.words[i] = (this.words[i] & 0xffffff) | ((v & 0xff) << 24);
  }
  /** Identity of the side that opened the connection. */
  get src_sec_id(): number {
    return this.words[this.at + CT_SRC_SEC_ID_W];
  }
  set src_sec_id(v: number) {
    this.words[this.at + CT_SRC_SEC_ID_W] = v;
  }
  /** When a packet leaving the endpoint was last reported to the monitor, mono units. */
  get last_tx_report(): number {
    return this.words[this.at + CT_LAST_TX_REPORT_W];
  }
  set last_tx_report(v: number) {
    this.words[this.at + CT_LAST_TX_REPORT_W] = v;
  }
  /** The same for packets entering it. */
  get last_rx_report(): number {
    return this.words[this.at + CT_LAST_RX_REPORT_W];
  }
  set last_rx_report(v: number) {
    this.words[this.at + CT_LAST_RX_REPORT_W] = v;
  }
}
