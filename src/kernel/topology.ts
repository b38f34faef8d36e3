// A network of namespaces from a plain description (the topology.json of kernel-lab): devices, addresses, routes,
// neighbours, sysctls, in the order in which a person with iproute2 would build it.

import { PodpathError } from "../base/errors.js";
import { tryParseIpv4 } from "../net/address.js";
import { BridgeDevice } from "./bridge.js";
import type { NetDevice } from "./device.js";
import { DummyDevice } from "./dummy.js";
import { GeneveDevice } from "./geneve.js";
import { IpipDevice, ipip_fallback, ipip_namespaces } from "./ipip.js";
import { type CommandResult, ip_addr, ip_command, ip_neigh, ip_route, ip_rule } from "./iproute.js";
import type { Kernel } from "./kernel.js";
import type { Netns } from "./netns.js";
import { link_up, sysctl_set } from "./rtnetlink.js";
import { VethDevice } from "./veth.js";
import { VxlanDevice } from "./vxlan.js";

export interface TopoRoute {
  readonly dst: string;
  readonly via?: string;
  readonly dev?: string;
  readonly type?: string;
  readonly scope?: string;
  readonly proto?: string;
  readonly src?: string;
  readonly metric?: number;
  readonly mtu?: number;
  readonly mtu_lock?: boolean;
  readonly onlink?: boolean;
  readonly table?: string | number;
}

export interface TopoNetns {
  readonly role?: string;
  readonly sysctl?: Readonly<Record<string, string | number>>;
  readonly addresses?: readonly { readonly dev: string; readonly addr: string; readonly metric?: number }[];
  readonly routes?: readonly TopoRoute[];
  readonly rules?: readonly string[];
  readonly neigh?: readonly { readonly ip: string; readonly mac: string; readonly dev: string }[];
  readonly proxy_neigh?: readonly { readonly ip: string; readonly dev: string }[];
  readonly fdb?: readonly { readonly mac: string; readonly dev: string; readonly dst: string }[];
  readonly setup?: readonly (readonly string[])[];
}

export interface TopoEnd {
  readonly ns: string;
  readonly name: string;
  readonly mac: string;
  readonly mtu?: number;
  readonly master?: string;
  readonly index?: number;
}

export interface TopoLink {
  readonly kind: string;
  readonly ends?: readonly TopoEnd[];
  readonly ns?: string;
  readonly name?: string;
  readonly mac?: string;
  readonly mtu?: number;
  readonly up?: boolean;
  readonly vni?: number;
  readonly local?: string;
  readonly remote?: string;
  readonly dev?: string;
  readonly dstport?: number;
  readonly learning?: boolean;
  readonly udpcsum?: boolean;
  readonly ttl?: number | string;
  readonly tos?: number | string;
  readonly df?: string;
  readonly pmtudisc?: boolean;
}

export interface Topology {
  readonly netns: Readonly<Record<string, TopoNetns>>;
  readonly links: readonly TopoLink[];
  /** Where tunl0 stands among the devices of a namespace: made after the uplink ("late") or before all ("first"). */
  readonly tunl0?: string;
}

/** What is written in every namespace of a lab before its own sysctls. */
const BASE_SYSCTL: Readonly<Record<string, number>> = {
  "net/ipv4/conf/all/rp_filter": 0,
  "net/ipv4/conf/default/rp_filter": 0,
  "net/ipv4/conf/all/send_redirects": 1,
  "net/ipv4/conf/default/send_redirects": 1,
  "net/ipv4/conf/all/accept_redirects": 1,
  "net/ipv4/conf/default/accept_redirects": 1,
  // What br_netfilter has where it is loaded.
  "net/bridge/bridge-nf-call-iptables": 1,
};

/** Six bytes of "02:00:...". */
export function parseMac(text: string): Uint8Array {
  const b = text.split(":").map((x) => Number.parseInt(x, 16));
  if (b.length !== 6 || b.some((x) => !(x >= 0 && x < 256)))
    throw new PodpathError("ADDRESS_INVALID", `"${text}" is not a MAC address (six hex bytes with colons)`);
  return Uint8Array.from(b);
}

/** What follows a built network. */
export interface BuiltTopology {
  readonly ns: ReadonlyMap<string, Netns>;
  /** Devices in the order of creation, without lo. */
  readonly devs: readonly NetDevice[];
}

/** Called for each namespace when its devices are up and its routes are in: rules, sets, programs. */
export type NetnsHook = (name: string, ns: Netns, spec: TopoNetns) => void;

/**
 * Builds `topo` in `kernel`; `nextId` numbers the namespaces where several kernels share a world. Throws PodpathError for
 * descriptions that cannot be built.
 */
export function buildTopology(
  kernel: Kernel,
  topo: Topology,
  hook?: NetnsHook,
  nextId?: () => number,
): BuiltTopology {
  const map = new Map<string, Netns>();
  const devs: NetDevice[] = [];
  const down = new Set<NetDevice>();
  const usesTunl0 = topo.links.some((l) => l.kind === "ipip" && l.name === "tunl0");
  const late = (topo.tunl0 ?? "late") === "late";
  const check = (r: CommandResult, what: string): void => {
    if (r.rc !== 0) throw new PodpathError("SCENARIO_INVALID", `${what}: ${r.out.trim()}`);
  };
  // The module ipip brings a tunl0 to every namespace: those that exist when it is loaded get it last, those made
  // later get it right after lo.
  let loaded = usesTunl0 && !late;
  const netns = (name: string): Netns => {
    const have = map.get(name);
    if (have !== undefined) return have;
    const spec = topo.netns[name];
    if (spec === undefined)
      throw new PodpathError(
        "SCENARIO_INVALID",
        `link refers to namespace "${name}", which is not described`,
      );
    const ns = kernel.addNetns(name, nextId?.());
    map.set(name, ns);
    if (loaded) ipip_fallback(ns);
    for (const [k, v] of Object.entries(BASE_SYSCTL)) sysctl_set(ns, k, v);
    for (const [k, v] of Object.entries(spec.sysctl ?? {})) {
      if (/\/conf\/(all|default)\//.test(k) || !/\/(conf|neigh)\//.test(k)) sysctl_set(ns, k, v);
    }
    return ns;
  };
  const dev = (ns: Netns, name: string): NetDevice => {
    const d = ns.devByName(name);
    if (d === null)
      throw new PodpathError("SCENARIO_INVALID", `namespace "${ns.name}" has no device "${name}"`);
    return d;
  };
  const ip = (text: string | undefined): number => {
    const a = text === undefined ? undefined : tryParseIpv4(text);
    if (a === undefined) throw new PodpathError("ADDRESS_INVALID", `"${text}" is not an IPv4 address`);
    return a;
  };
  for (const l of topo.links) {
    if (l.kind === "ipip" && !loaded && l.name === "tunl0") {
      loaded = true;
      for (const n of map.values()) ipip_fallback(n);
    }
    if (l.kind === "veth") {
      const [a, b] = l.ends ?? [];
      if (a === undefined || b === undefined)
        throw new PodpathError("SCENARIO_INVALID", "a veth needs two ends");
      const end = (e: TopoEnd): ConstructorParameters<typeof VethDevice>[0] => ({
        ns: netns(e.ns),
        name: e.name,
        mac: parseMac(e.mac),
        mtu: e.mtu ?? 1500,
        ...(e.index === undefined ? {} : { ifindex: e.index }),
      });
      const ea = end(a);
      const eb = end(b);
      const pair = VethDevice.pair(ea, eb);
      devs.push(...pair);
      for (const [e, d] of [
        [a, pair[0]],
        [b, pair[1]],
      ] as const) {
        if (e.master !== undefined) {
          const br = dev(netns(e.ns), e.master);
          if (!(br instanceof BridgeDevice))
            throw new PodpathError("SCENARIO_INVALID", `"${e.master}" is not a bridge`);
          br.addPort(d);
        }
      }
      continue;
    }
    const ns = netns(l.ns ?? "");
    const name = l.name ?? "";
    let d: NetDevice;
    switch (l.kind) {
      case "bridge":
        d = new BridgeDevice(ns, name, parseMac(l.mac ?? ""), l.mtu ?? 1500);
        break;
      case "dummy":
        d = new DummyDevice(ns, name, parseMac(l.mac ?? ""), l.mtu ?? 1500);
        if (l.up === false) down.add(d);
        break;
      case "vxlan":
        link_up(dev(ns, l.dev ?? ""));
        d = new VxlanDevice(ns, name, {
          mac: parseMac(l.mac ?? ""),
          mtu: l.mtu ?? 1450,
          vni: l.vni ?? 1,
          local: l.local === undefined ? 0 : ip(l.local),
          link: dev(ns, l.dev ?? ""),
          dstport: l.dstport ?? 4789,
          learning: l.learning ?? false,
          udpcsum: l.udpcsum ?? true,
          ttl: ttlOf(l.ttl),
          ttlInherit: l.ttl === "inherit",
          tos: tosOf(l.tos),
          df: l.df ?? "unset",
          remote: l.remote === undefined ? 0 : ip(l.remote),
        });
        break;
      case "geneve":
        d = new GeneveDevice(ns, name, {
          mac: parseMac(l.mac ?? ""),
          mtu: l.mtu ?? 1450,
          vni: l.vni ?? 1,
          remote: l.remote === undefined ? 0 : ip(l.remote),
          dstport: l.dstport ?? 6081,
          udpcsum: l.udpcsum ?? false,
          ttl: ttlOf(l.ttl),
          ttlInherit: l.ttl === "inherit",
          tos: tosOf(l.tos),
          df: l.df ?? "unset",
        });
        break;
      case "ipip":
        if (name === "tunl0") d = ipip_fallback(ns);
        else
          d = new IpipDevice(ns, name, {
            local: l.local === undefined ? 0 : ip(l.local),
            remote: l.remote === undefined ? 0 : ip(l.remote),
            link: l.dev === undefined ? null : dev(ns, l.dev),
          });
        (d as IpipDevice).configure({
          // What `ip link add` asks for unless told otherwise; the fallback device has it off.
          ...(name === "tunl0" ? {} : { pmtudisc: true }),
          ...(l.ttl === undefined ? {} : { ttl: ttlOf(l.ttl) }),
          ...(l.tos === undefined ? {} : { tos: tosOf(l.tos) }),
          ...(l.pmtudisc === undefined ? {} : { pmtudisc: l.pmtudisc }),
        });
        d.mtu = l.mtu ?? 1480;
        break;
      default:
        throw new PodpathError("UNSUPPORTED", `link kind "${l.kind}" is not modelled`);
    }
    devs.push(d);
  }
  for (const name of Object.keys(topo.netns)) netns(name);
  for (const [name, c] of Object.entries(topo.netns)) {
    const ns = netns(name);
    for (const [k, v] of Object.entries(c.sysctl ?? {})) sysctl_set(ns, k, v);
    link_up(ns.lo);
    for (const a of c.addresses ?? [])
      check(
        ip_addr(ns, [
          "add",
          a.addr,
          "dev",
          a.dev,
          ...(a.metric === undefined ? [] : ["metric", String(a.metric)]),
        ]),
        `address ${a.addr}`,
      );
    for (const d of devs) if (d.ns === ns && !down.has(d)) link_up(d);
  }
  for (const [name, c] of Object.entries(topo.netns)) {
    const ns = netns(name);
    for (const r of c.routes ?? [])
      check(ip_route(ns, ["add", ...routeArgs(r)]), `route ${r.dst} in ${name}`);
    for (const r of c.rules ?? []) check(ip_rule(ns, ["add", ...r.split(/\s+/)]), `rule ${r}`);
    for (const n of c.neigh ?? [])
      check(
        ip_neigh(ns, ["replace", n.ip, "lladdr", n.mac, "dev", n.dev, "nud", "permanent"]),
        `neigh ${n.ip}`,
      );
    for (const n of c.proxy_neigh ?? [])
      check(ip_neigh(ns, ["add", "proxy", n.ip, "dev", n.dev]), `neigh ${n.ip}`);
    for (const f of c.fdb ?? []) {
      const d = dev(ns, f.dev);
      if (!(d instanceof VxlanDevice))
        throw new PodpathError("SCENARIO_INVALID", `fdb: "${f.dev}" is not a vxlan device`);
      d.fdbAppend(parseMac(f.mac), ip(f.dst));
    }
    hook?.(name, ns, c);
    for (const s of c.setup ?? []) {
      if (s[0] !== "ip") throw new PodpathError("UNSUPPORTED", `setup: "${s[0]}" is not modelled`);
      check(ip_command(ns, s.slice(1)), s.join(" "));
    }
  }
  ipip_namespaces(map.values());
  return { ns: map, devs };
}

/** Arguments of `ip route add`. */
export function routeArgs(r: TopoRoute): string[] {
  const a: string[] = [];
  if (r.type !== undefined && r.type !== "unicast") a.push(r.type);
  a.push(r.dst);
  for (const k of ["via", "dev", "scope", "proto", "src", "metric", "table"] as const) {
    const v = r[k];
    if (v !== undefined) a.push(k, String(v));
  }
  if (r.mtu !== undefined) a.push("mtu", ...(r.mtu_lock === true ? ["lock"] : []), String(r.mtu));
  if (r.onlink === true) a.push("onlink");
  return a;
}

/** A TTL option: a number, "inherit" or "auto" (0). */
export const ttlOf = (t: number | string | undefined): number =>
  t === undefined || t === "inherit" || t === "auto" ? 0 : Number(t);

/** A TOS option: a number ("0x1c" too), or "inherit" (1). */
export const tosOf = (t: number | string | undefined): number =>
  t === undefined ? 0 : t === "inherit" ? 1 : Number(t);
