// All maps of one node under their C names, and the user-space view by name.

import type { VirtualClock } from "../src/base/clock.js";
import { ArrayMap } from "./array_map.js";
import { AUTH_SPEC } from "./auth.js";
import type { BpfMap, MapSnapshot } from "./bpf_map.js";
import { createMap } from "./create.js";
import {
  CT4_ANY_SPEC,
  CT4_TCP_SPEC,
  CT6_ANY_SPEC,
  CT6_TCP_SPEC,
  PER_CLUSTER_CT4_ANY_SPEC,
  PER_CLUSTER_CT4_TCP_SPEC,
  PER_CLUSTER_CT6_ANY_SPEC,
  PER_CLUSTER_CT6_TCP_SPEC,
} from "./ct.js";
import { EGRESS_GW_POLICY_V4_SPEC, EGRESS_GW_POLICY_V6_SPEC } from "./egress_gw.js";
import { IPV4_FRAG_SPEC, IPV6_FRAG_SPEC } from "./frag.js";
import { HashMap } from "./hash_map.js";
import { IPCACHE_SPEC } from "./ipcache.js";
import { L2_RESPONDER_V4_SPEC, L2_RESPONDER_V6_SPEC } from "./l2_responder.js";
import * as lb from "./lb.js";
import { LpmTrie } from "./lpm_trie.js";
import { LXC_SPEC } from "./lxc.js";
import { MapOfMaps } from "./map_in_map.js";
import { METRICS_SPEC } from "./metrics.js";
import {
  IPMASQ_V4_SPEC,
  IPMASQ_V6_SPEC,
  SNAT_V4_ALLOC_RETRIES_SPEC,
  SNAT_V4_SPEC,
  SNAT_V6_ALLOC_RETRIES_SPEC,
  SNAT_V6_SPEC,
} from "./nat.js";
import { NODEPORT_NEIGH4_SPEC, NODEPORT_NEIGH6_SPEC } from "./neigh.js";
import { NODE_SPEC } from "./node.js";
import { LruPercpuHashMap, PercpuArrayMap, PercpuHashMap } from "./percpu_map.js";
import { DEFAULT_RING_BYTES, PerfEventArray, type PerfEventSnapshot } from "./perf_event_array.js";
import {
  CALL_POLICY_SPEC,
  EGRESSCALL_POLICY_SPEC,
  endpointMapName,
  POLICY_MAP_SIZE,
  policySpec,
} from "./policy.js";
import { POLICYSTATS_SPEC } from "./policystats.js";
import { ProgArray } from "./prog_array.js";
import { RATELIMIT_METRICS_SPEC, RATELIMIT_SPEC } from "./ratelimit.js";
import { RUNTIME_CONFIG_SPEC } from "./runtime_config.js";
import { CurrentCpu, type LruPolicy, type MapBackend, type MapSpec } from "./spec.js";
import { THROTTLE_SPEC } from "./throttle.js";
import { PERCPU_TRACE_ID_SPEC } from "./trace_id.js";
import { ENCRYPT_STATE_SPEC, SUBNET_SPEC, VTEP_SPEC } from "./vtep.js";

export interface CiliumMapsOptions {
  readonly clock: VirtualClock;
  /** Possible CPUs of the node; default 1. */
  readonly cpus?: number;
  /** What holds the LRU maps; default "table". */
  readonly backend?: MapBackend;
  /** Eviction of the LRU maps; default "kernel". */
  readonly lru?: LruPolicy;
  /** max_entries by map name, where they differ from the defaults. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Map types by name, where they differ: a recorded run may use plain hashes for its LRU maps. */
  readonly types?: Readonly<Record<string, MapSpec["type"]>>;
  /** Entries of a Maglev table; default 16381. */
  readonly maglevTableSize?: number;
  /** Entries of an endpoint's policy map; default 16384. */
  readonly policyMapSize?: number;
  /** Bytes of each CPU's event ring. */
  readonly ringBytes?: number;
}

/** State of all maps of a node. */
export interface CiliumMapsSnapshot {
  /** The maps it was taken from; only they take their programs back. */
  readonly owner: object;
  readonly maps: ReadonlyMap<string, MapSnapshot>;
  readonly policy: ReadonlyMap<number, { readonly map: LpmTrie; readonly state: MapSnapshot }>;
  readonly calls: readonly (object | null)[];
  readonly egressCalls: readonly (object | null)[];
  readonly events: PerfEventSnapshot;
  readonly signals: PerfEventSnapshot;
}

/**
 * The maps of a node. Fields have the C names; those of families that a configuration does not use stay empty and
 * cost next to nothing, as tables start small. `P` is whatever the programs keep in prog arrays.
 */
export class CiliumMaps<P extends object = object> {
  /** Which CPU runs; set `cpu.id` before a program runs. */
  readonly cpu: CurrentCpu;

  /** Local endpoints and addresses of the node, by address. */
  readonly cilium_lxc: HashMap;
  /** Address or prefix to identity and tunnel endpoint. */
  readonly cilium_ipcache_v2: LpmTrie;
  /** Node address to node id (authentication, IPsec). */
  readonly cilium_node_map_v2: HashMap;
  /** Packets and bytes by reason, direction and source line. */
  readonly cilium_metrics: PercpuHashMap;
  /** Packets and bytes by policy entry. */
  readonly cilium_policystats: LruPercpuHashMap;
  /** Pairs of identities that have authenticated each other. */
  readonly cilium_auth_map: HashMap;
  /** Clock offset and agent liveness. */
  readonly cilium_runtime_config: ArrayMap;
  /** Rates of the bandwidth manager, by endpoint and direction. */
  readonly cilium_throttle: HashMap;
  /** External VXLAN endpoints. */
  readonly cilium_vtep_map: HashMap;
  /** Prefix to subnet id (hybrid routing mode). */
  readonly cilium_subnet_map: LpmTrie;
  /** IPsec key in use. */
  readonly cilium_encrypt_state: ArrayMap;
  /** IP-option trace id of the packet in progress. */
  readonly cilium_percpu_trace_id: PercpuArrayMap;
  /** Token buckets of events and ICMPv6 answers. */
  readonly cilium_ratelimit: BpfMap;
  /** What the buckets held back. */
  readonly cilium_ratelimit_metrics: HashMap;

  /** Conntrack of TCP over IPv4. */
  readonly cilium_ct4_global: BpfMap;
  /** Conntrack of everything else over IPv4, and RELATED entries. */
  readonly cilium_ct_any4_global: BpfMap;
  /** Conntrack of TCP over IPv6. */
  readonly cilium_ct6_global: BpfMap;
  /** Conntrack of everything else over IPv6, and RELATED entries. */
  readonly cilium_ct_any6_global: BpfMap;
  /** Conntrack by cluster id, only with overlapping pod CIDRs. */
  readonly cilium_per_cluster_ct_tcp4: MapOfMaps<BpfMap>;
  readonly cilium_per_cluster_ct_any4: MapOfMaps<BpfMap>;
  readonly cilium_per_cluster_ct_tcp6: MapOfMaps<BpfMap>;
  readonly cilium_per_cluster_ct_any6: MapOfMaps<BpfMap>;

  /** Frontends (slot 0) and their backend slots. */
  readonly cilium_lb4_services_v2: HashMap;
  readonly cilium_lb6_services_v2: HashMap;
  /** Backends by id. */
  readonly cilium_lb4_backends_v3: HashMap;
  readonly cilium_lb6_backends_v3: HashMap;
  /** Service address by rev NAT index. */
  readonly cilium_lb4_reverse_nat: HashMap;
  readonly cilium_lb6_reverse_nat: HashMap;
  /** Backend last used, by client and service. */
  readonly cilium_lb4_affinity: BpfMap;
  readonly cilium_lb6_affinity: BpfMap;
  /** Backends that still belong to their service. */
  readonly cilium_lb_affinity_match: HashMap;
  /** Client prefixes that a service admits (or denies). */
  readonly cilium_lb4_source_range: LpmTrie;
  readonly cilium_lb6_source_range: LpmTrie;
  /** Service address by socket and backend (socket load balancing). */
  readonly cilium_lb4_reverse_sk: BpfMap;
  readonly cilium_lb6_reverse_sk: BpfMap;
  /** Maglev table of each service. */
  readonly cilium_lb4_maglev: MapOfMaps<ArrayMap>;
  readonly cilium_lb6_maglev: MapOfMaps<ArrayMap>;
  /** Backend under probe, by socket. */
  readonly cilium_lb4_health: BpfMap;
  readonly cilium_lb6_health: BpfMap;
  /** Services that one namespace reaches untranslated. */
  readonly cilium_skip_lb4: HashMap;
  readonly cilium_skip_lb6: HashMap;
  /** Connections opened and closed by service and zone. */
  readonly cilium_lb_act: BpfMap;

  /** Masqueraded connections, a forward and a reverse entry each. */
  readonly cilium_snat_v4_external: BpfMap;
  readonly cilium_snat_v6_external: BpfMap;
  /** Histogram of tries for a free port. */
  readonly cilium_snat_v4_alloc_retries: PercpuArrayMap;
  readonly cilium_snat_v6_alloc_retries: PercpuArrayMap;
  /** Destinations excepted from masquerading. */
  readonly cilium_ipmasq_v4: LpmTrie;
  readonly cilium_ipmasq_v6: LpmTrie;
  /** MAC addresses of external clients. */
  readonly cilium_nodeport_neigh4: BpfMap;
  readonly cilium_nodeport_neigh6: BpfMap;

  /** Ports of a first fragment, for those that follow. */
  readonly cilium_ipv4_frag_datagrams: BpfMap;
  readonly cilium_ipv6_frag_datagrams: BpfMap;
  /** Egress gateway by source and destination prefix. */
  readonly cilium_egress_gw_policy_v4: LpmTrie;
  readonly cilium_egress_gw_policy_v6: LpmTrie;
  /** Addresses announced on a device, with answers sent. */
  readonly cilium_l2_responder_v4: HashMap;
  readonly cilium_l2_responder_v6: HashMap;

  /** Ingress policy programs by endpoint id. */
  readonly cilium_call_policy: ProgArray<P>;
  /** Egress policy programs by endpoint id (return path of the L7 load balancer). */
  readonly cilium_egresscall_policy: ProgArray<P>;
  /** Samples for the monitor. */
  readonly cilium_events: PerfEventArray;
  /** What programs tell the agent. */
  readonly cilium_signals: PerfEventArray;

  /** cilium_policy_v2_NNNNN by endpoint id, as user space sees them. */
  readonly policy = new Map<number, LpmTrie>();

  readonly #options: CiliumMapsOptions;
  readonly #named = new Map<string, BpfMap>();
  readonly #nested = new Map<string, MapOfMaps<BpfMap>>();

  constructor(options: CiliumMapsOptions) {
    this.#options = options;
    const cpu = new CurrentCpu(options.cpus ?? 1);
    this.cpu = cpu;
    const hash = (s: MapSpec) => this.#add(new HashMap(this.#tuned(s)));
    const lpm = (s: MapSpec) => this.#add(new LpmTrie(this.#tuned(s)));
    const array = (s: MapSpec) => this.#add(new ArrayMap(this.#tuned(s)));
    const lru = (s: MapSpec) => this.#add(this.#make(s));

    this.cilium_lxc = hash(LXC_SPEC);
    this.cilium_ipcache_v2 = lpm(IPCACHE_SPEC);
    this.cilium_node_map_v2 = hash(NODE_SPEC);
    this.cilium_metrics = this.#add(new PercpuHashMap(this.#tuned(METRICS_SPEC), cpu));
    this.cilium_policystats = this.#add(new LruPercpuHashMap(this.#tuned(POLICYSTATS_SPEC), cpu));
    this.cilium_auth_map = hash(AUTH_SPEC);
    this.cilium_runtime_config = array(RUNTIME_CONFIG_SPEC);
    this.cilium_throttle = hash(THROTTLE_SPEC);
    this.cilium_vtep_map = hash(VTEP_SPEC);
    this.cilium_subnet_map = lpm(SUBNET_SPEC);
    this.cilium_encrypt_state = array(ENCRYPT_STATE_SPEC);
    this.cilium_percpu_trace_id = this.#add(new PercpuArrayMap(PERCPU_TRACE_ID_SPEC, cpu));
    this.cilium_ratelimit = lru(RATELIMIT_SPEC);
    this.cilium_ratelimit_metrics = hash(RATELIMIT_METRICS_SPEC);

    this.cilium_ct4_global = lru(CT4_TCP_SPEC);
    this.cilium_ct_any4_global = lru(CT4_ANY_SPEC);
    this.cilium_ct6_global = lru(CT6_TCP_SPEC);
    this.cilium_ct_any6_global = lru(CT6_ANY_SPEC);
    this.cilium_per_cluster_ct_tcp4 = this.#nest(new MapOfMaps(PER_CLUSTER_CT4_TCP_SPEC));
    this.cilium_per_cluster_ct_any4 = this.#nest(new MapOfMaps(PER_CLUSTER_CT4_ANY_SPEC));
    this.cilium_per_cluster_ct_tcp6 = this.#nest(new MapOfMaps(PER_CLUSTER_CT6_TCP_SPEC));
    this.cilium_per_cluster_ct_any6 = this.#nest(new MapOfMaps(PER_CLUSTER_CT6_ANY_SPEC));

    this.cilium_lb4_services_v2 = hash(lb.LB4_SERVICES_SPEC);
    this.cilium_lb6_services_v2 = hash(lb.LB6_SERVICES_SPEC);
    this.cilium_lb4_backends_v3 = hash(lb.LB4_BACKENDS_SPEC);
    this.cilium_lb6_backends_v3 = hash(lb.LB6_BACKENDS_SPEC);
    this.cilium_lb4_reverse_nat = hash(lb.LB4_REVERSE_NAT_SPEC);
    this.cilium_lb6_reverse_nat = hash(lb.LB6_REVERSE_NAT_SPEC);
    this.cilium_lb4_affinity = lru(lb.LB4_AFFINITY_SPEC);
    this.cilium_lb6_affinity = lru(lb.LB6_AFFINITY_SPEC);
    this.cilium_lb_affinity_match = hash(lb.LB_AFFINITY_MATCH_SPEC);
    this.cilium_lb4_source_range = lpm(lb.LB4_SOURCE_RANGE_SPEC);
    this.cilium_lb6_source_range = lpm(lb.LB6_SOURCE_RANGE_SPEC);
    this.cilium_lb4_reverse_sk = lru(lb.LB4_REVERSE_SK_SPEC);
    this.cilium_lb6_reverse_sk = lru(lb.LB6_REVERSE_SK_SPEC);
    const table = options.maglevTableSize ?? lb.LB_MAGLEV_LUT_SIZE;
    this.cilium_lb4_maglev = this.#nest(new MapOfMaps<ArrayMap>(lb.maglevSpec("cilium_lb4_maglev", table)));
    this.cilium_lb6_maglev = this.#nest(new MapOfMaps<ArrayMap>(lb.maglevSpec("cilium_lb6_maglev", table)));
    this.cilium_lb4_health = lru(lb.LB4_HEALTH_SPEC);
    this.cilium_lb6_health = lru(lb.LB6_HEALTH_SPEC);
    this.cilium_skip_lb4 = hash(lb.SKIP_LB4_SPEC);
    this.cilium_skip_lb6 = hash(lb.SKIP_LB6_SPEC);
    this.cilium_lb_act = lru(lb.LB_ACT_SPEC);

    this.cilium_snat_v4_external = lru(SNAT_V4_SPEC);
    this.cilium_snat_v6_external = lru(SNAT_V6_SPEC);
    this.cilium_snat_v4_alloc_retries = this.#add(new PercpuArrayMap(SNAT_V4_ALLOC_RETRIES_SPEC, cpu));
    this.cilium_snat_v6_alloc_retries = this.#add(new PercpuArrayMap(SNAT_V6_ALLOC_RETRIES_SPEC, cpu));
    this.cilium_ipmasq_v4 = lpm(IPMASQ_V4_SPEC);
    this.cilium_ipmasq_v6 = lpm(IPMASQ_V6_SPEC);
    this.cilium_nodeport_neigh4 = lru(NODEPORT_NEIGH4_SPEC);
    this.cilium_nodeport_neigh6 = lru(NODEPORT_NEIGH6_SPEC);

    this.cilium_ipv4_frag_datagrams = lru(IPV4_FRAG_SPEC);
    this.cilium_ipv6_frag_datagrams = lru(IPV6_FRAG_SPEC);
    this.cilium_egress_gw_policy_v4 = lpm(EGRESS_GW_POLICY_V4_SPEC);
    this.cilium_egress_gw_policy_v6 = lpm(EGRESS_GW_POLICY_V6_SPEC);
    this.cilium_l2_responder_v4 = hash(L2_RESPONDER_V4_SPEC);
    this.cilium_l2_responder_v6 = hash(L2_RESPONDER_V6_SPEC);

    this.cilium_call_policy = new ProgArray<P>(CALL_POLICY_SPEC);
    this.cilium_egresscall_policy = new ProgArray<P>(EGRESSCALL_POLICY_SPEC);
    const ring = options.ringBytes ?? DEFAULT_RING_BYTES;
    this.cilium_events = new PerfEventArray("cilium_events", options.clock, cpu.count, ring);
    this.cilium_signals = new PerfEventArray("cilium_signals", options.clock, cpu.count, 4096);
  }

  /** Makes the policy map of an endpoint, or gives the one it has. */
  addPolicyMap(epId: number): LpmTrie {
    const there = this.policy.get(epId);
    if (there !== undefined) return there;
    const map = new LpmTrie(policySpec(epId, this.#options.policyMapSize ?? POLICY_MAP_SIZE));
    this.policy.set(epId, map);
    return map;
  }

  /** Forgets the policy map of an endpoint; a program that has it compiled in keeps it. */
  removePolicyMap(epId: number): void {
    this.policy.delete(epId);
  }

  /** The keyed map with this name, also `cilium_policy_v2_01580`; undefined if there is none. */
  byName(name: string): BpfMap | undefined {
    const m = /^cilium_policy_v2_(\d{5})$/.exec(name);
    return m ? this.policy.get(Number(m[1])) : this.#named.get(name);
  }

  /** The map of maps with this name. */
  nestedByName(name: string): MapOfMaps<BpfMap> | undefined {
    return this.#nested.get(name);
  }

  /** Every keyed map, policy maps last in order of endpoint id. */
  all(): BpfMap[] {
    const ids = [...this.policy.keys()].sort((a, b) => a - b);
    return [...this.#named.values(), ...ids.map((id) => this.policy.get(id)!)];
  }

  /** Names of every map there is, keyed or not, sorted. */
  names(): string[] {
    const names = [...this.#named.keys(), ...this.#nested.keys()];
    for (const id of this.policy.keys()) names.push(endpointMapName("cilium_policy_v2", id));
    names.push(this.cilium_call_policy.spec.name, this.cilium_egresscall_policy.spec.name);
    names.push(this.cilium_events.name, this.cilium_signals.name);
    return names.sort();
  }

  /** A new map shaped as the inner maps of `outer`, with this node's back end and eviction. */
  newInner<M extends BpfMap>(outer: MapOfMaps<M>, name: string): M {
    return this.#make({ ...outer.innerSpec, name }) as M;
  }

  /** Copy of the contents of all maps, prog arrays and unread events included. */
  save(): CiliumMapsSnapshot {
    const maps = new Map<string, MapSnapshot>();
    for (const [name, map] of this.#named) maps.set(name, map.save());
    for (const [name, map] of this.#nested) maps.set(name, map.save());
    const policy = new Map<number, { map: LpmTrie; state: MapSnapshot }>();
    for (const [id, map] of this.policy) policy.set(id, { map, state: map.save() });
    return {
      owner: this,
      maps,
      policy,
      calls: this.cilium_call_policy.save(),
      egressCalls: this.cilium_egresscall_policy.save(),
      events: this.cilium_events.save(),
      signals: this.cilium_signals.save(),
    };
  }

  /**
   * Returns to a snapshot of these maps or of maps with the same options. Programs have their node's maps compiled
   * in, so prog arrays keep what they hold when the snapshot is of another node's maps.
   */
  restore(snapshot: CiliumMapsSnapshot): void {
    for (const [name, map] of this.#named) map.restore(snapshot.maps.get(name)!);
    for (const [name, map] of this.#nested) map.restore(snapshot.maps.get(name)!);
    for (const id of [...this.policy.keys()]) if (!snapshot.policy.has(id)) this.removePolicyMap(id);
    for (const [id, { map, state }] of snapshot.policy) {
      // An endpoint that was removed since gets the very map back that its programs have compiled in.
      if (snapshot.owner === this) this.policy.set(id, map);
      this.addPolicyMap(id).restore(state);
    }
    this.cilium_events.restore(snapshot.events);
    this.cilium_signals.restore(snapshot.signals);
    if (snapshot.owner === this) {
      this.cilium_call_policy.restore(snapshot.calls as readonly (P | null)[]);
      this.cilium_egresscall_policy.restore(snapshot.egressCalls as readonly (P | null)[]);
    }
  }

  #tuned(spec: MapSpec): MapSpec {
    const o = this.#options;
    const maxEntries = o.sizes?.[spec.name] ?? spec.maxEntries;
    const type = o.types?.[spec.name] ?? spec.type;
    const lru = spec.lru ?? o.lru;
    return { ...spec, type, maxEntries, ...(lru === undefined ? {} : { lru }) };
  }

  #make(spec: MapSpec): BpfMap {
    return createMap(this.#tuned(spec), { cpu: this.cpu, backend: this.#options.backend ?? "table" });
  }

  #add<M extends BpfMap>(map: M): M {
    this.#named.set(map.spec.name, map);
    return map;
  }

  #nest<M extends BpfMap>(map: MapOfMaps<M>): MapOfMaps<M> {
    this.#nested.set(map.spec.name, map as unknown as MapOfMaps<BpfMap>);
    return map;
  }
}

/** The maps of a node as an agent makes them. */
export function createCiliumMaps<P extends object = object>(options: CiliumMapsOptions): CiliumMaps<P> {
  return new CiliumMaps<P>(options);
}
