// Load balancing (bpf/lib/lb.h, pkg/loadbalancer/maps): services, backends, reverse NAT, affinity, source ranges,
// Maglev tables, socket reverse NAT, skip list, health, active connections.
//
//   lb4_services_v2   key    0 4 address   4 2 dport (be)   6 2 backend_slot   8 1 proto   9 1 scope   10 2 -
//                     v6     0 16 address  16 2 dport  18 2 backend_slot  20 1 proto  21 1 scope  22 2 -
//                     value  0 4 backend_id | affinity timeout (24) + algorithm (8) | l7 proxy port (be)
//                            4 2 count   6 2 rev_nat_index (be)   8 1 flags   9 1 flags2   10 2 qcount
//   lb4_backends_v3   key    0 4 backend id
//                     value  0 4 address   4 2 port (be)   6 1 proto   7 1 flags   8 2 cluster_id   10 1 zone
//                     v6     0 16 address  16 2 port  18 1 proto  19 1 flags  20 2 cluster_id  22 1 zone
//   lb4_reverse_nat   key    0 2 rev_nat_index (be)
//                     value  0 4 address   4 2 port (be);   v6 0 16, 16 2
//   lb4_affinity      key    0 8 client id   8 2 rev_nat_id (be)   10 1 bit 0: id is a netns cookie;  v6 0 16, 16 2, 18 1
//                     value  0 8 last_used   8 4 backend_id   12 4 -
//   lb_affinity_match key    0 4 backend_id   4 2 rev_nat_id (be)   6 2 -;   value 1 byte
//   lb4_source_range  key    0 4 prefixlen (32 + bits)   4 2 rev_nat_id (be)   6 2 -   8 4 address;   value 1 byte
//   lb4_reverse_sk    key    0 8 cookie   8 4 address   12 2 port (be)   14 2 -;   v6 0 8, 8 16, 24 2, 26 6 -
//                     value  0 4 address   4 2 port (be)   6 2 rev_nat_index (be);   v6 0 16, 16 2, 18 2
//   lb4_maglev        key    0 2 rev_nat_index (be);   inner: array of one element of table_size u32 backend ids
//   lb4_health        key    0 8 cookie;   value as a backend (struct lb4_health)
//   skip_lb4          key    0 8 netns_cookie   8 4 address   12 2 port (be)   14 2 -;   value 1 byte
//   lb_act            key    0 2 svc_id   2 1 zone   3 1 -;   value 0 4 opened   4 4 closed

import type { BpfMap } from "./bpf_map.js";
import { setAddr6 } from "./layout.js";
import type { MapSpec } from "./spec.js";

export const LB_MAP_SIZE = 65536;
/** Default size of a Maglev table (bpf-lb-maglev-table-size). */
export const LB_MAGLEV_LUT_SIZE = 16381;

// svc flags
export const SVC_FLAG_EXTERNAL_IP = 1;
/** A node port. */
export const SVC_FLAG_NODEPORT = 2;
/** externalTrafficPolicy: Local. */
export const SVC_FLAG_EXT_LOCAL_SCOPE = 4;
/** A hostPort. */
export const SVC_FLAG_HOSTPORT = 8;
/** Session affinity by client address. */
export const SVC_FLAG_AFFINITY = 16;
/** A load balancer address. */
export const SVC_FLAG_LOADBALANCER = 32;
/** Reachable from outside; unset for a ClusterIP. */
export const SVC_FLAG_ROUTABLE = 64;
/** Clients are checked against the source ranges. */
export const SVC_FLAG_SOURCE_RANGE = 128;
// svc flags2
export const SVC_FLAG_LOCALREDIRECT = 1;
/** Frontend and backends are of different families. */
export const SVC_FLAG_NAT_46X64 = 2;
/** Goes to the proxy, whose port is in the first word. */
export const SVC_FLAG_L7_LOADBALANCER = 4;
/** Loopback host port (host port services), or the L7 delegate (others). */
export const SVC_FLAG_LOOPBACK = 8;
export const SVC_FLAG_L7_DELEGATE = 8;
/** internalTrafficPolicy: Local. */
export const SVC_FLAG_INT_LOCAL_SCOPE = 16;
/** There is an entry of its own for each scope. */
export const SVC_FLAG_TWO_SCOPES = 32;
/** Quarantined (slots), or: the source ranges are a deny list (frontends). */
export const SVC_FLAG_QUARANTINED = 64;
export const SVC_FLAG_SOURCE_RANGE_DENY = 64;
/** Forwarded by direct server return. */
export const SVC_FLAG_FWD_MODE_DSR = 128;

/** Scope of the key: clients outside the cluster ... */
export const LB_LOOKUP_SCOPE_EXT = 0;
/** ... and inside. */
export const LB_LOOKUP_SCOPE_INT = 1;

/** What the agent is configured for. */
export const LB_SELECTION_DEFAULT = 0;
export const LB_SELECTION_RANDOM = 1;
export const LB_SELECTION_MAGLEV = 2;

/** Takes new connections. */
export const BE_STATE_ACTIVE = 0;
/** Keeps the connections it has; new ones only if no other is left. */
export const BE_STATE_TERMINATING = 1;
/** Failed its health check. */
export const BE_STATE_QUARANTINED = 2;
/** Taken out of service by hand. */
export const BE_STATE_MAINTENANCE = 3;

function hash(name: string, keySize: number, valueSize: number, maxEntries: number = LB_MAP_SIZE): MapSpec {
  return { name, type: "hash", keySize, valueSize, maxEntries };
}
function lru(name: string, keySize: number, valueSize: number, maxEntries: number = LB_MAP_SIZE): MapSpec {
  return { name, type: "lru_hash", keySize, valueSize, maxEntries };
}

export const LB4_SERVICES_SPEC = hash("cilium_lb4_services_v2", 12, 12);
export const LB6_SERVICES_SPEC = hash("cilium_lb6_services_v2", 24, 12);
export const LB4_BACKENDS_SPEC = hash("cilium_lb4_backends_v3", 4, 12);
export const LB6_BACKENDS_SPEC = hash("cilium_lb6_backends_v3", 4, 24);
export const LB4_REVERSE_NAT_SPEC = hash("cilium_lb4_reverse_nat", 2, 6);
export const LB6_REVERSE_NAT_SPEC = hash("cilium_lb6_reverse_nat", 2, 18);
export const LB4_AFFINITY_SPEC = lru("cilium_lb4_affinity", 16, 16);
export const LB6_AFFINITY_SPEC = lru("cilium_lb6_affinity", 24, 16);
export const LB_AFFINITY_MATCH_SPEC = hash("cilium_lb_affinity_match", 8, 1);
export const LB4_SOURCE_RANGE_SPEC: MapSpec = {
  name: "cilium_lb4_source_range",
  type: "lpm_trie",
  keySize: 12,
  valueSize: 1,
  maxEntries: LB_MAP_SIZE,
};
export const LB6_SOURCE_RANGE_SPEC: MapSpec = {
  ...LB4_SOURCE_RANGE_SPEC,
  name: "cilium_lb6_source_range",
  keySize: 24,
};
export const LB4_REVERSE_SK_SPEC = lru("cilium_lb4_reverse_sk", 16, 8, 262144);
export const LB6_REVERSE_SK_SPEC = lru("cilium_lb6_reverse_sk", 32, 20, 262144);
export const LB4_HEALTH_SPEC = lru("cilium_lb4_health", 8, 12);
export const LB6_HEALTH_SPEC = lru("cilium_lb6_health", 8, 24);
export const SKIP_LB4_SPEC = hash("cilium_skip_lb4", 16, 1, 100);
export const SKIP_LB6_SPEC = hash("cilium_skip_lb6", 32, 1, 100);
export const LB_ACT_SPEC = lru("cilium_lb_act", 4, 8);

/** The table of one service: an array whose only element holds `tableSize` backend ids. */
export function maglevInnerSpec(tableSize: number = LB_MAGLEV_LUT_SIZE): MapSpec {
  return {
    name: "cilium_lb_maglev_inner",
    type: "array",
    keySize: 4,
    valueSize: tableSize * 4,
    maxEntries: 1,
  };
}
/** Spec of the map of all tables of one family. */
export function maglevSpec(name: string, tableSize: number = LB_MAGLEV_LUT_SIZE): MapSpec {
  const inner = maglevInnerSpec(tableSize);
  return { name, type: "hash_of_maps", keySize: 2, valueSize: 4, maxEntries: LB_MAP_SIZE, inner };
}
export const LB4_MAGLEV_SPEC = maglevSpec("cilium_lb4_maglev");
export const LB6_MAGLEV_SPEC = maglevSpec("cilium_lb6_maglev");

/** struct lb4_key. Addresses are Be32, ports Be16; slot 0 is the frontend. */
export class Lb4Key {
  readonly words = new Int32Array(3);

  set(address: number, dport: number, proto: number, scope = 0, slot = 0): this {
    const w = this.words;
    w[0] = address;
    w[1] = (dport & 0xffff) | (slot << 16);
    w[2] = (proto & 0xff) | (scope << 8);
    return this;
  }
  /** Be32. */
  get address(): number {
    return this.words[0];
  }
  set address(v: number) {
    this.words[0] = v;
  }
  /** Be16. */
  get dport(): number {
    return this.words[1] & 0xffff;
  }
  set dport(v: number) {
    this.words[1] = (this.words[1] & ~0xffff) | (v & 0xffff);
  }
  /** 0 = the frontend itself. */
  get backend_slot(): number {
    return this.words[1] >>> 16;
  }
  set backend_slot(v: number) {
    this.words[1] = (this.words[1] & 0xffff) | (v << 16);
  }
  /** IP protocol; 0 in the wildcard entry of an address. */
  get proto(): number {
    return this.words[2] & 0xff;
  }
  set proto(v: number) {
    this.words[2] = (this.words[2] & ~0xff) | (v & 0xff);
  }
  /** LB_LOOKUP_SCOPE_*. */
  get scope(): number {
    return (this.words[2] >>> 8) & 0xff;
  }
  set scope(v: number) {
    this.words[2] = (this.words[2] & ~0xff00) | ((v & 0xff) << 8);
  }
}

/** struct lb6_key; the address is words 0..3. */
export class Lb6Key {
  readonly words = new Int32Array(6);

  /** The 16 address bytes at `off`. */
  setAddress(view: DataView, off: number): this {
    setAddr6(this.words, 0, view, off);
    return this;
  }
  get dport(): number {
    return this.words[4] & 0xffff;
  }
  set dport(v: number) {
    this.words[4] = (this.words[4] & ~0xffff) | (v & 0xffff);
  }
  get backend_slot(): number {
    return this.words[4] >>> 16;
  }
  set backend_slot(v: number) {
    this.words[4] = (this.words[4] & 0xffff) | (v << 16);
  }
  get proto(): number {
    return this.words[5] & 0xff;
  }
  set proto(v: number) {
    this.words[5] = (this.words[5] & ~0xff) | (v & 0xff);
  }
  get scope(): number {
    return (this.words[5] >>> 8) & 0xff;
  }
  set scope(v: number) {
    this.words[5] = (this.words[5] & ~0xff00) | ((v & 0xff) << 8);
  }
}

/** struct lb4_service / lb6_service, for writing. */
export class LbServiceValue {
  readonly words = new Int32Array(3);

  /** backend id, affinity timeout with algorithm, or proxy port: by slot and flags. */
  set first(v: number) {
    this.words[0] = v;
  }
  /** Active backends, in slots 1 to count. */
  set count(v: number) {
    this.words[1] = (this.words[1] & ~0xffff) | (v & 0xffff);
  }
  /** As stored: network order. */
  set rev_nat_index(v: number) {
    this.words[1] = (this.words[1] & 0xffff) | (v << 16);
  }
  /** SVC_FLAG_* of the first byte. */
  set flags(v: number) {
    this.words[2] = (this.words[2] & ~0xff) | (v & 0xff);
  }
  /** SVC_FLAG_* of the second byte. */
  set flags2(v: number) {
    this.words[2] = (this.words[2] & ~0xff00) | ((v & 0xff) << 8);
  }
  /** Quarantined backends, in the slots behind the active ones. */
  set qcount(v: number) {
    this.words[2] = (this.words[2] & 0xffff) | (v << 16);
  }
}

/** backend_id of a slot, l7_lb_proxy_port of an L7 frontend. */
export function svcBackendId(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords];
}
/** Seconds. */
export function svcAffinityTimeout(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords] & 0xffffff;
}
/** LB_SELECTION_*. */
export function svcAlgorithm(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords] >>> 24;
}
/** Active backends. */
export function svcCount(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 1] & 0xffff;
}
/** As stored: network order. */
export function svcRevNatIndex(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 1] >>> 16;
}
/** First byte of flags. */
export function svcFlags(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 2] & 0xff;
}
/** Second byte of flags. */
export function svcFlags2(map: BpfMap, slot: number): number {
  return (map.words[slot * map.valueWords + 2] >>> 8) & 0xff;
}
/** Quarantined backends. */
export function svcQcount(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 2] >>> 16;
}

/** Key of one u32 or u16: backend ids, array indices, rev NAT indices. */
export class U32Key {
  readonly words = new Int32Array(1);

  set(v: number): this {
    this.words[0] = v;
    return this;
  }
}

/** struct lb4_backend, for writing. */
export class Lb4BackendValue {
  readonly words = new Int32Array(3);

  set(address: number, port: number, proto: number, flags = 0, clusterId = 0, zone = 0): this {
    const w = this.words;
    w[0] = address;
    w[1] = (port & 0xffff) | ((proto & 0xff) << 16) | (flags << 24);
    w[2] = (clusterId & 0xffff) | ((zone & 0xff) << 16);
    return this;
  }
}

/** struct lb6_backend, for writing. */
export class Lb6BackendValue {
  readonly words = new Int32Array(6);

  set(view: DataView, off: number, port: number, proto: number, flags = 0, clusterId = 0, zone = 0): this {
    const w = this.words;
    setAddr6(w, 0, view, off);
    w[4] = (port & 0xffff) | ((proto & 0xff) << 16) | (flags << 24);
    w[5] = (clusterId & 0xffff) | ((zone & 0xff) << 16);
    return this;
  }
}

/** Be32. */
export function backend4Address(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords];
}
/** Be16. */
export function backend4Port(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 1] & 0xffff;
}
/** IP protocol. */
export function backend4Proto(map: BpfMap, slot: number): number {
  return (map.words[slot * map.valueWords + 1] >>> 16) & 0xff;
}
/** BE_STATE_*. */
export function backend4Flags(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 1] >>> 24;
}
/** Cluster of the mesh that the backend lives in. */
export function backend4ClusterId(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 2] & 0xffff;
}
/** Number of its zone, 0 = none. */
export function backend4Zone(map: BpfMap, slot: number): number {
  return (map.words[slot * map.valueWords + 2] >>> 16) & 0xff;
}
/** Word of the first address word of a v6 backend, for copyAddr6 and putAddr6. */
export function backend6AddressWord(map: BpfMap, slot: number): number {
  return slot * map.valueWords;
}
/** Be16. */
export function backend6Port(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 4] & 0xffff;
}
/** IP protocol. */
export function backend6Proto(map: BpfMap, slot: number): number {
  return (map.words[slot * map.valueWords + 4] >>> 16) & 0xff;
}
/** BE_STATE_*. */
export function backend6Flags(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 4] >>> 24;
}

/** struct lb4_reverse_nat, for writing. */
export class Lb4ReverseNatValue {
  readonly words = new Int32Array(2);

  set(address: number, port: number): this {
    this.words[0] = address;
    this.words[1] = port & 0xffff;
    return this;
  }
}

/** struct lb6_reverse_nat, for writing. */
export class Lb6ReverseNatValue {
  readonly words = new Int32Array(5);

  set(view: DataView, off: number, port: number): this {
    setAddr6(this.words, 0, view, off);
    this.words[4] = port & 0xffff;
    return this;
  }
}

/** Be32 of the service. */
export function revNat4Address(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords];
}
/** Be16 of the service; 0 = the port stays. */
export function revNat4Port(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 1] & 0xffff;
}
/** Word of the first address word. */
export function revNat6AddressWord(map: BpfMap, slot: number): number {
  return slot * map.valueWords;
}
/** Be16 of the service; 0 = the port stays. */
export function revNat6Port(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 4] & 0xffff;
}

/** struct lb4_affinity_key */
export class Lb4AffinityKey {
  readonly words = new Int32Array(4);

  /** Client by its address (Be32). */
  setIp(clientIp: number, revNatId: number): this {
    const w = this.words;
    w[0] = clientIp;
    w[1] = 0;
    w[2] = revNatId & 0xffff;
    w[3] = 0;
    return this;
  }
  /** Client by the cookie of its namespace. */
  setCookie(cookie: number, revNatId: number): this {
    const w = this.words;
    w[0] = cookie | 0;
    w[1] = Math.floor(cookie / 0x1_0000_0000) | 0;
    w[2] = (revNatId & 0xffff) | 0x10000;
    w[3] = 0;
    return this;
  }
}

/** struct lb6_affinity_key */
export class Lb6AffinityKey {
  readonly words = new Int32Array(6);

  setIp(view: DataView, off: number, revNatId: number): this {
    setAddr6(this.words, 0, view, off);
    this.words[4] = revNatId & 0xffff;
    this.words[5] = 0;
    return this;
  }
  setCookie(cookie: number, revNatId: number): this {
    const w = this.words;
    w[0] = cookie | 0;
    w[1] = Math.floor(cookie / 0x1_0000_0000) | 0;
    w[2] = 0;
    w[3] = 0;
    w[4] = (revNatId & 0xffff) | 0x10000;
    w[5] = 0;
    return this;
  }
}

/** struct lb_affinity_val, for writing. */
export class LbAffinityValue {
  readonly words = new Int32Array(4);

  /** `lastUsed` in mono units, below 2^32. */
  set(lastUsed: number, backendId: number): this {
    this.words[0] = lastUsed;
    this.words[2] = backendId;
    return this;
  }
}

/** Low word of last_used, mono units. */
export function affinityLastUsed(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords];
}
/** A packet of the client just used the backend. */
export function setAffinityLastUsed(map: BpfMap, slot: number, v: number): void {
  map.words[slot * map.valueWords] = v;
}
/** Backend that the client used last. */
export function affinityBackendId(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 2];
}

/** struct lb_affinity_match */
export class LbAffinityMatchKey {
  readonly words = new Int32Array(2);

  set(backendId: number, revNatId: number): this {
    this.words[0] = backendId;
    this.words[1] = revNatId & 0xffff;
    return this;
  }
}

/** struct lb4_src_range_key; a look-up has 32 + 32 bits. */
export class Lb4SrcRangeKey {
  readonly words = new Int32Array(3);

  set(revNatId: number, address: number, bits = 32): this {
    this.words[0] = 32 + bits;
    this.words[1] = revNatId & 0xffff;
    this.words[2] = address;
    return this;
  }
}

/** struct lb6_src_range_key */
export class Lb6SrcRangeKey {
  readonly words = new Int32Array(6);

  set(revNatId: number, view: DataView, off: number, bits = 128): this {
    this.words[0] = 32 + bits;
    this.words[1] = revNatId & 0xffff;
    setAddr6(this.words, 2, view, off);
    return this;
  }
}

/** struct ipv4_revnat_tuple: socket cookie (below 2^53), backend address and port. */
export class Lb4ReverseSkKey {
  readonly words = new Int32Array(4);

  set(cookie: number, address: number, port: number): this {
    const w = this.words;
    w[0] = cookie | 0;
    w[1] = Math.floor(cookie / 0x1_0000_0000) | 0;
    w[2] = address;
    w[3] = port & 0xffff;
    return this;
  }
}

/** struct ipv4_revnat_entry, for writing; also the head of a reverse NAT value. */
export class Lb4ReverseSkValue {
  readonly words = new Int32Array(2);

  set(address: number, port: number, revNatIndex: number): this {
    this.words[0] = address;
    this.words[1] = (port & 0xffff) | (revNatIndex << 16);
    return this;
  }
}

/** struct ipv6_revnat_tuple */
export class Lb6ReverseSkKey {
  readonly words = new Int32Array(8);

  set(cookie: number, view: DataView, off: number, port: number): this {
    const w = this.words;
    w[0] = cookie | 0;
    w[1] = Math.floor(cookie / 0x1_0000_0000) | 0;
    setAddr6(w, 2, view, off);
    w[6] = port & 0xffff;
    return this;
  }
}

/** struct ipv6_revnat_entry, for writing. */
export class Lb6ReverseSkValue {
  readonly words = new Int32Array(5);

  set(view: DataView, off: number, port: number, revNatIndex: number): this {
    setAddr6(this.words, 0, view, off);
    this.words[4] = (port & 0xffff) | (revNatIndex << 16);
    return this;
  }
}

/** Reverse NAT entries of sockets: address as in a reverse NAT value. */
export function reverseSk4RevNatIndex(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 1] >>> 16;
}
/** As stored: network order. */
export function reverseSk6RevNatIndex(map: BpfMap, slot: number): number {
  return map.words[slot * map.valueWords + 4] >>> 16;
}

/** struct skip_lb4_key */
export class SkipLb4Key {
  readonly words = new Int32Array(4);

  set(netnsCookie: number, address: number, port: number): this {
    const w = this.words;
    w[0] = netnsCookie | 0;
    w[1] = Math.floor(netnsCookie / 0x1_0000_0000) | 0;
    w[2] = address;
    w[3] = port & 0xffff;
    return this;
  }
}

/** struct skip_lb6_key */
export class SkipLb6Key {
  readonly words = new Int32Array(8);

  set(netnsCookie: number, view: DataView, off: number, port: number): this {
    const w = this.words;
    w[0] = netnsCookie | 0;
    w[1] = Math.floor(netnsCookie / 0x1_0000_0000) | 0;
    setAddr6(w, 2, view, off);
    w[6] = port & 0xffff;
    return this;
  }
}

/** struct lb_act_key */
export class LbActKey {
  readonly words = new Int32Array(1);

  set(svcId: number, zone: number): this {
    this.words[0] = (svcId & 0xffff) | ((zone & 0xff) << 16);
    return this;
  }
}
