// Frontends and backends into the load-balancing maps (pkg/loadbalancer/reconciler): services with their slots, backends,
// reverse NAT, affinity matches, source ranges, Maglev tables, and the wildcard entries that make unknown ports of a
// service address a drop. What is no longer wanted is removed; connection state (affinity, reverse_sk) is left alone.

import { ArrayMap } from "../../../maps/array_map.js";
import type { BpfMap } from "../../../maps/bpf_map.js";
import type { CiliumMaps } from "../../../maps/cilium_maps.js";
import {
  BE_STATE_ACTIVE,
  BE_STATE_MAINTENANCE,
  BE_STATE_TERMINATING,
  Lb4BackendValue,
  Lb4Key,
  Lb4ReverseNatValue,
  Lb4SrcRangeKey,
  Lb6BackendValue,
  Lb6Key,
  Lb6ReverseNatValue,
  Lb6SrcRangeKey,
  LbAffinityMatchKey,
  LbServiceValue,
  SVC_FLAG_LOADBALANCER,
  U32Key,
} from "../../../maps/lb.js";
import { BPF_ANY } from "../../../maps/spec.js";
import { type MaglevBackend, maglevLookupTable } from "../../../programs/lib/maglev.js";
import { htons } from "../../net/address.js";
import { masked, PrefixError, parseAddr, parsePrefix } from "./policy/prefix.js";
import { PROTOCOL_NUMBERS } from "./policy/rules.js";
import { backendKey, frontendKey, type LbBackend, type LbFrontend } from "./services.js";

/** Load balancer classes whose addresses Cilium itself hands out. */
const OWN_LB_CLASSES = ["io.cilium/bgp-control-plane", "io.cilium/l2-announcer"];

/** Numbers given to texts, each the lowest that was never used; a released number is not used again at once. */
class IdAllocator {
  readonly #ids = new Map<string, number>();
  #next = 1;

  get(key: string): number {
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.#next++;
      this.#ids.set(key, id);
    }
    return id;
  }

  peek(key: string): number | undefined {
    return this.#ids.get(key);
  }

  /** Forgets all but `keep`. */
  retain(keep: ReadonlySet<string>): void {
    for (const k of this.#ids.keys()) if (!keep.has(k)) this.#ids.delete(k);
  }
}

/** Entries wanted in one map, by key bytes. */
type Wanted = Map<string, { key: Int32Array; value: Int32Array }>;

/** Affinity matches and source ranges say what they say by being there. */
const PRESENT = new Int32Array(1);
const ZERO_INDEX = new Int32Array(1);

/** Keeps a node's load-balancing maps as its frontends want them; ids stay as long as their frontend or backend does. */
export class ServiceMaps {
  readonly #frontendIds = new IdAllocator();
  readonly #backendIds = new IdAllocator();

  constructor(
    private readonly maps: CiliumMaps,
    private readonly maglev: { readonly tableSize: number; readonly hashSeed?: string | undefined },
  ) {}

  /** Reverse NAT id of a frontend, as `service list` shows it; undefined if it is not programmed. */
  frontendId(f: LbFrontend): number | undefined {
    return this.#frontendIds.peek(frontendKey(f));
  }

  backendId(b: LbBackend): number | undefined {
    return this.#backendIds.peek(backendKey(b));
  }

  /** Makes the maps hold exactly `frontends`. */
  sync(frontends: readonly LbFrontend[]): void {
    const m = this.maps;
    const services4: Wanted = new Map();
    const services6: Wanted = new Map();
    const backends4: Wanted = new Map();
    const backends6: Wanted = new Map();
    const revNat4: Wanted = new Map();
    const revNat6: Wanted = new Map();
    const affinity: Wanted = new Map();
    const ranges4: Wanted = new Map();
    const ranges6: Wanted = new Map();
    const tables4 = new Map<number, Int32Array>();
    const tables6 = new Map<number, Int32Array>();
    const usedFrontends = new Set<string>();
    const usedBackends = new Set<string>();

    for (const f of frontends) {
      const id = this.#frontendIds.get(frontendKey(f));
      usedFrontends.add(frontendKey(f));
      const revNat = htons(id);
      const proto = PROTOCOL_NUMBERS[f.protocol]!;
      const addr = viewOf(parseAddr(f.address));
      const services = f.ipv6 ? services6 : services4;
      const scope = f.scope === "internal" ? 1 : 0;

      let slot = 0;
      for (const b of f.backends) {
        const beId = this.#backendIds.get(backendKey(b));
        usedBackends.add(backendKey(b));
        const at = viewOf(parseAddr(b.address));
        const state = BACKEND_STATES[b.state];
        const beProto = PROTOCOL_NUMBERS[b.protocol]!;
        if (f.ipv6) {
          put(
            backends6,
            new U32Key().set(beId),
            new Lb6BackendValue().set(at, 0, htons(b.port), beProto, state),
          );
        } else {
          const value = new Lb4BackendValue().set(at.getInt32(0, true), htons(b.port), beProto, state);
          put(backends4, new U32Key().set(beId), value);
        }
        if (b.state === "maintenance") continue;
        const value = new LbServiceValue();
        value.first = beId;
        value.rev_nat_index = revNat;
        value.flags = f.flags;
        value.flags2 = f.flags2;
        put(services, serviceKey(f.ipv6, addr, htons(f.port), proto, scope, ++slot), value);
        if (f.spec.service.affinitySec !== undefined && b.state === "active") {
          affinity.set(`${beId}/${id}`, {
            key: new LbAffinityMatchKey().set(beId, revNat).words,
            value: PRESENT,
          });
        }
      }

      const frontend = new LbServiceValue();
      frontend.first =
        f.l7ProxyPort !== undefined
          ? htons(f.l7ProxyPort)
          : (f.algorithm << 24) | ((f.spec.service.affinitySec ?? 0) & 0xffffff);
      frontend.count = f.activeCount;
      frontend.qcount = f.inactiveCount;
      frontend.rev_nat_index = revNat;
      frontend.flags = f.flags;
      frontend.flags2 = f.flags2;
      put(services, serviceKey(f.ipv6, addr, htons(f.port), proto, scope, 0), frontend);

      if (f.ipv6)
        put(revNat6, new U32Key().set(revNat), new Lb6ReverseNatValue().set(addr, 0, htons(f.port)));
      else {
        const value = new Lb4ReverseNatValue().set(addr.getInt32(0, true), htons(f.port));
        put(revNat4, new U32Key().set(revNat), value);
      }

      for (const text of f.spec.service.sourceRanges) {
        const p = prefixOf(text);
        if (p === undefined || (p.bytes.length === 16) !== f.ipv6) continue;
        const at = viewOf(p.bytes);
        if (f.ipv6)
          ranges6.set(`${id} ${text}`, {
            key: new Lb6SrcRangeKey().set(revNat, at, 0, p.bits).words,
            value: PRESENT,
          });
        else {
          const key = new Lb4SrcRangeKey().set(revNat, at.getInt32(0, true), p.bits);
          ranges4.set(`${id} ${text}`, { key: key.words, value: PRESENT });
        }
      }

      if (usesWildcard(f)) {
        const wildcard = new LbServiceValue();
        wildcard.flags = f.type === "LoadBalancer" ? SVC_FLAG_LOADBALANCER : 0;
        const key = serviceKey(f.ipv6, addr, 0, 0, 0, 0);
        if (!services.has(textOf(key.words))) put(services, key, wildcard);
      }

      if (f.usesMaglev && f.activeCount > 0) {
        const members = f.backends.slice(0, f.activeCount).map(
          (b): MaglevBackend => ({
            id: this.#backendIds.get(backendKey(b)),
            address: b.address,
            port: b.port,
            protocol: b.protocol,
          }),
        );
        const table = maglevLookupTable(members, this.maglev.tableSize, this.maglev.hashSeed);
        (f.ipv6 ? tables6 : tables4).set(revNat, table);
      }
    }

    sync(m.cilium_lb4_backends_v3, backends4);
    sync(m.cilium_lb6_backends_v3, backends6);
    sync(m.cilium_lb_affinity_match, affinity);
    syncTables(m.cilium_lb4_maglev, tables4);
    syncTables(m.cilium_lb6_maglev, tables6);
    sync(m.cilium_lb4_source_range, ranges4);
    sync(m.cilium_lb6_source_range, ranges6);
    sync(m.cilium_lb4_reverse_nat, revNat4);
    sync(m.cilium_lb6_reverse_nat, revNat6);
    sync(m.cilium_lb4_services_v2, services4);
    sync(m.cilium_lb6_services_v2, services6);
    this.#frontendIds.retain(usedFrontends);
    this.#backendIds.retain(usedBackends);
  }
}

/**
 * Traffic to a service address on a port that no service has is dropped rather than forwarded: for addresses that are
 * surely not those of a machine.
 */
function usesWildcard(f: LbFrontend): boolean {
  if (f.scope !== "external" || (f.type !== "LoadBalancer" && f.type !== "ClusterIP")) return false;
  const lbClass = f.spec.service.lbClass;
  return lbClass === undefined || OWN_LB_CLASSES.includes(lbClass);
}

const BACKEND_STATES: Readonly<Record<LbBackend["state"], number>> = {
  active: BE_STATE_ACTIVE,
  terminating: BE_STATE_TERMINATING,
  "terminating-not-serving": BE_STATE_TERMINATING,
  maintenance: BE_STATE_MAINTENANCE,
};

function serviceKey(
  ipv6: boolean,
  addr: DataView,
  port: number,
  proto: number,
  scope: number,
  slot: number,
): { readonly words: Int32Array } {
  if (!ipv6) return new Lb4Key().set(addr.getInt32(0, true), port, proto, scope, slot);
  const key = new Lb6Key().setAddress(addr, 0);
  key.dport = port;
  key.proto = proto;
  key.scope = scope;
  key.backend_slot = slot;
  return key;
}

function put(to: Wanted, key: { readonly words: Int32Array }, value: { readonly words: Int32Array }): void {
  to.set(textOf(key.words), { key: key.words, value: value.words });
}

function textOf(words: Int32Array): string {
  return words.join(" ");
}

/** Removes what is not wanted, then writes what is. */
function sync(map: BpfMap, wanted: Wanted): void {
  const keys = new Set([...wanted.values()].map((w) => textOf(w.key)));
  const stale: Int32Array[] = [];
  map.forEachSlot((_slot, words, at) => {
    const key = words.slice(at, at + map.keyWords);
    if (!keys.has(textOf(key))) stale.push(key);
  });
  for (const key of stale) map.remove(key);
  for (const { key, value } of wanted.values()) {
    const row = new Int32Array(map.valueWords);
    row.set(value);
    map.update(key, row, BPF_ANY);
  }
}

function syncTables(map: CiliumMaps["cilium_lb4_maglev"], wanted: ReadonlyMap<number, Int32Array>): void {
  const stale: Int32Array[] = [];
  map.forEach((key) => {
    const revNat = key[0]! | (key[1]! << 8);
    if (!wanted.has(revNat)) stale.push(new Int32Array([revNat]));
  });
  for (const key of stale) map.remove(key);
  for (const [revNat, table] of wanted) {
    const inner = new ArrayMap(map.innerSpec);
    const row = new Int32Array(inner.valueWords);
    row.set(table);
    inner.update(ZERO_INDEX, row, BPF_ANY);
    map.update(new Int32Array([revNat]), inner);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function prefixOf(text: string): { bytes: Uint8Array; bits: number } | undefined {
  try {
    return masked(parsePrefix(text));
  } catch (e) {
    if (e instanceof PrefixError) return undefined;
    throw e;
  }
}
