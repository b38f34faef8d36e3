// What `ip link`, `ip addr`, `ip route`, `ip rule`, `ip neigh` and `ip tunnel` print (iproute2 6.1), byte for byte
// but for what needs a real kernel's clock.

import { formatIpv4, tryParseIpv4 } from "../net/address.js";
import { BridgeDevice } from "./bridge.js";
import {
  ARPHRD_LOOPBACK,
  ARPHRD_NONE,
  COLLISIONS,
  IFF_BROADCAST,
  IFF_LOOPBACK,
  IFF_MULTICAST,
  IFF_NOARP,
  IFF_POINTOPOINT,
  IFF_PROMISC,
  MULTICAST,
  type NetDevice,
  RX_BYTES,
  RX_DROPPED,
  RX_ERRORS,
  RX_PACKETS,
  TX_BYTES,
  TX_DROPPED,
  TX_ERRORS,
  TX_PACKETS,
} from "./device.js";
import {
  type FibAlias,
  type FibRule,
  Flowi4,
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_SITE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_DEFAULT,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTN_UNICAST,
  RTNH_F_LINKDOWN,
  RTNH_F_ONLINK,
  RTPROT_BOOT,
} from "./fib.js";
import { IpipDevice } from "./ipip.js";
import { NetkitDevice } from "./netkit.js";
import type { Netns } from "./netns.js";
import { ip_route_output_flow, outputErrno, RTCF_LOCAL } from "./route.js";

const TYPE_NAMES = [
  "none",
  "unicast",
  "local",
  "broadcast",
  "anycast",
  "multicast",
  "blackhole",
  "unreachable",
  "prohibit",
  "throw",
];
const PROTO_NAMES: Record<number, string> = {
  1: "redirect",
  2: "kernel",
  3: "boot",
  4: "static",
  8: "gated",
  9: "ra",
  11: "zebra",
  12: "bird",
  16: "dhcp",
  18: "keepalived",
  42: "babel",
  186: "bgp",
  187: "isis",
  188: "ospf",
  189: "rip",
  192: "eigrp",
};

const scopeName = (s: number): string =>
  s === RT_SCOPE_UNIVERSE
    ? "global"
    : s === RT_SCOPE_LINK
      ? "link"
      : s === RT_SCOPE_HOST
        ? "host"
        : s === RT_SCOPE_SITE
          ? "site"
          : s === RT_SCOPE_NOWHERE
            ? "nowhere"
            : String(s);
export const tableName = (t: number): string =>
  t === RT_TABLE_LOCAL
    ? "local"
    : t === RT_TABLE_MAIN
      ? "main"
      : t === RT_TABLE_DEFAULT
        ? "default"
        : String(t);

const hostText = (h: number): string => `${h >>> 24}.${(h >>> 16) & 255}.${(h >>> 8) & 255}.${h & 255}`;
const prefixText = (prefix: number, plen: number): string =>
  plen === 0 ? "default" : plen === 32 ? hostText(prefix) : `${hostText(prefix)}/${plen}`;
const macText = (m: Uint8Array): string => [...m].map((x) => x.toString(16).padStart(2, "0")).join(":");

/** IFF_RUNNING && IFF_LOWER_UP. */
const hasCarrier = (d: NetDevice): boolean =>
  d.up && d.carrier && !(d instanceof BridgeDevice && !d.ports.some((p) => p.dev.up && p.dev.carrier));

function flagsText(d: NetDevice): string {
  const f: string[] = [];
  if (d.up && !hasCarrier(d)) f.push("NO-CARRIER");
  if ((d.flags & IFF_LOOPBACK) !== 0) f.push("LOOPBACK");
  if ((d.flags & IFF_BROADCAST) !== 0) f.push("BROADCAST");
  if ((d.flags & IFF_POINTOPOINT) !== 0) f.push("POINTOPOINT");
  if ((d.flags & IFF_MULTICAST) !== 0) f.push("MULTICAST");
  if ((d.flags & IFF_NOARP) !== 0) f.push("NOARP");
  if ((d.flags & IFF_PROMISC) !== 0) f.push("PROMISC");
  if (d.up) f.push("UP");
  if (hasCarrier(d)) f.push("LOWER_UP");
  return f.join(",");
}

function stateText(d: NetDevice): string {
  switch (d.kind) {
    case "veth":
    case "netkit":
      return !d.up ? "DOWN" : d.carrier ? "UP" : "LOWERLAYERDOWN";
    case "bridge":
    case "wire":
      return hasCarrier(d) ? "UP" : "DOWN";
    default:
      return d.up || (d.flags & IFF_LOOPBACK) !== 0 ? "UNKNOWN" : "DOWN";
  }
}

/** The first line of a device and its link/ line. */
function linkLines(d: NetDevice, mode: boolean): string {
  const peer = d.peerDev();
  let suffix = "";
  if (peer !== null) suffix = peer.ns === d.ns ? `@${peer.name}` : `@if${peer.ifindex}`;
  else if (d instanceof IpipDevice) suffix = d.link === null ? "@NONE" : `@${d.link.name}`;
  const qdisc = d.up || d.wasUp ? "noqueue" : "noop";
  let s = `${d.ifindex}: ${d.name}${suffix}: <${flagsText(d)}> mtu ${d.mtu} qdisc ${qdisc}`;
  if (d.master !== null) s += ` master ${d.master.name}`;
  s += ` state ${stateText(d)}${mode ? " mode DEFAULT" : ""} group default qlen 1000\n`;
  if (d instanceof IpipDevice) {
    const p2p = (d.flags & IFF_POINTOPOINT) !== 0;
    s += `    link/ipip ${formatIpv4(d.local)} ${p2p ? "peer" : "brd"} ${formatIpv4(d.remote)}`;
  } else if (d.type === ARPHRD_LOOPBACK) s += "    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00";
  else if (d.type === ARPHRD_NONE) s += "    link/none ";
  else s += `    link/ether ${macText(d.mac)} brd ff:ff:ff:ff:ff:ff`;
  if (peer !== null && peer.ns !== d.ns) s += ` link-netns ${peer.ns.name}`;
  return s;
}

const TSO = "tso_max_segs 65535 gro_max_size 65536 ";

/** What -d adds. */
function linkDetails(d: NetDevice): string {
  const queues = d.kind === "veth" ? d.ns.kernel.cpus : 1;
  const [min, max] =
    d.kind === "veth" || d.kind === "netkit" || d.kind === "bridge" || d.kind === "wire"
      ? [68, 65535]
      : d.kind === "dummy"
        ? [0, 0]
        : d.kind === "vxlan" || d.kind === "geneve"
          ? [68, 65535]
          : d.kind === "wireguard"
            ? [0, 2147483552]
            : [0, 0];
  let s = ` promiscuity ${(d.flags & IFF_PROMISC) !== 0 || d.brPort !== null ? 1 : 0}  allmulti ${d.brPort !== null ? 1 : 0} minmtu ${min} maxmtu ${max} `;
  const tail = `addrgenmode ${d.kind === "wireguard" ? "none" : "eui64"} numtxqueues ${queues} numrxqueues ${queues} gso_max_size 65536 gso_max_segs 65535 tso_max_size ${d.kind === "veth" || d.kind === "netkit" || d.kind === "loopback" ? 524280 : 65536} ${TSO}`;
  if (d.kind === "loopback") return s + tail;
  if (d instanceof IpipDevice) {
    const end = (a: number): string => (a === 0 ? "any" : formatIpv4(a));
    s += `\n    ipip any remote ${end(d.remote)} local ${end(d.local)} ${d.link === null ? "" : `dev ${d.link.name} `}ttl ${d.ttl === 0 ? "inherit" : d.ttl} `;
    if (d.tos !== 0) s += d.tos === 1 ? "tos inherit " : `tos 0x${d.tos.toString(16)} `;
    s += `${d.pmtudisc ? "pmtudisc" : "nopmtudisc"} `;
  } else s += `\n    ${d.kind} `;
  if (d instanceof NetkitDevice) {
    s += `mode ${d.mode} type ${d.primary ? "primary" : "peer"} policy ${d.policy} peer policy ${d.peer!.policy} `;
    s += `scrub ${d.scrub} peer scrub ${d.peer!.scrub} `;
  }
  return s + tail;
}

/** What -s adds: columns as wide as the longest number. */
function linkStats(d: NetDevice): string {
  const st = d.stats;
  const rx = [st[RX_BYTES]!, st[RX_PACKETS]!, st[RX_ERRORS]!, st[RX_DROPPED]!, 0, st[MULTICAST]!];
  const tx = [st[TX_BYTES]!, st[TX_PACKETS]!, st[TX_ERRORS]!, st[TX_DROPPED]!, 0, st[COLLISIONS]!];
  const w = [10, 7, 6, 7, 7, 7].map((x, i) => Math.max(x, String(rx[i]).length, String(tx[i]).length));
  const head = (name: string, cols: readonly string[]): string =>
    `    ${name}: ${cols.map((c, i) => c.padStart(i === 0 ? w[0]! - 4 : w[i]!)).join(" ")} ${" ".repeat(10)}\n`;
  const row = (v: readonly number[]): string =>
    `    ${v.map((x, i) => String(x).padStart(w[i]!)).join(" ")} \n`;
  return `\n${head("RX", ["bytes", "packets", "errors", "dropped", "missed", "mcast"])}${row(rx)}${head("TX", ["bytes", "packets", "errors", "dropped", "carrier", "collsns"])}${row(tx)}`.replace(
    /\n$/,
    "",
  );
}

const allDevs = (ns: Netns): NetDevice[] => ns.devs.filter((d): d is NetDevice => d != null);

export interface ShowFlags {
  readonly details?: boolean;
  readonly stats?: boolean;
}

/** `ip link show [DEV]`; null when there is no such device. */
export function showLinks(ns: Netns, name: string | null, f: ShowFlags = {}): string | null {
  const d = name === null ? null : ns.devByName(name);
  if (name !== null && d === null) return null;
  let s = "";
  for (const x of d === null ? allDevs(ns) : [d]) {
    s += linkLines(x, true);
    if (f.details === true) s += linkDetails(x);
    if (f.stats === true) s += linkStats(x);
    s += "\n";
  }
  return s;
}

/** `ip addr show [DEV]`. */
export function showAddrs(ns: Netns, name: string | null): string | null {
  const d = name === null ? null : ns.devByName(name);
  if (name !== null && d === null) return null;
  let s = "";
  for (const x of d === null ? allDevs(ns) : [d]) {
    s += `${linkLines(x, false)}\n`;
    for (const a of x.addrs) {
      s += `    inet ${formatIpv4(a.local)}${a.address !== a.local ? ` peer ${formatIpv4(a.address)}` : ""}/${a.prefixLen}`;
      if (a.metric !== 0) s += ` metric ${a.metric}`;
      if (a.broadcast !== 0) s += ` brd ${formatIpv4(a.broadcast)}`;
      s += ` scope ${scopeName(a.scope)}${a.secondary ? " secondary" : ""} ${a.label}\n       valid_lft forever preferred_lft forever\n`;
    }
  }
  return s;
}

/** One route as `ip route` prints it, without the table. */
export function routeText(fa: FibAlias): string {
  const fi = fa.info;
  let s = "";
  if (fa.type !== RTN_UNICAST) s += `${TYPE_NAMES[fa.type]} `;
  s += `${prefixText(fa.prefix, fa.plen)} `;
  if (fa.tos !== 0) s += `tos 0x${fa.tos.toString(16)} `;
  const one = fi.nhs.length === 1 ? fi.nhs[0]! : null;
  if (one !== null) {
    if (one.gw !== 0) s += `via ${formatIpv4(one.gw)} `;
    if (one.dev !== null) s += `dev ${one.dev.name} `;
  }
  if (fi.protocol !== RTPROT_BOOT) s += `proto ${PROTO_NAMES[fi.protocol] ?? fi.protocol} `;
  if (fi.scope !== RT_SCOPE_UNIVERSE) s += `scope ${scopeName(fi.scope)} `;
  if (fi.prefsrc !== 0) s += `src ${formatIpv4(fi.prefsrc)} `;
  if (fi.priority !== 0) s += `metric ${fi.priority} `;
  if (one !== null) {
    if ((one.flags & RTNH_F_ONLINK) !== 0) s += "onlink ";
    if ((one.flags & RTNH_F_LINKDOWN) !== 0) s += "linkdown ";
  }
  if (fi.mtu !== 0) s += `mtu ${fi.mtuLocked ? "lock " : ""}${fi.mtu} `;
  if (fi.advmss !== 0) s += `advmss ${fi.advmss} `;
  if (fi.nhs.length > 1)
    for (const nh of fi.nhs) {
      s += "\n\tnexthop ";
      if (nh.gw !== 0) s += `via ${formatIpv4(nh.gw)} `;
      s += `dev ${nh.dev!.name} weight ${nh.weight} `;
      if ((nh.flags & RTNH_F_ONLINK) !== 0) s += "onlink ";
      if ((nh.flags & RTNH_F_LINKDOWN) !== 0) s += "linkdown ";
    }
  return s;
}

/** `ip route show [table T]`. */
export function showRoutes(ns: Netns, table: number = RT_TABLE_MAIN): string {
  return (ns.fib.tables.get(table)?.routes() ?? []).map((fa) => `${routeText(fa)}\n`).join("");
}

/** `ip route get ADDR`: text, or the errno of a failed look-up. */
export function routeGet(ns: Netns, addr: string): string | number {
  const dst = tryParseIpv4(addr);
  if (dst === undefined) return 22;
  const f = new Flowi4();
  f.daddr = dst;
  const rt = ip_route_output_flow(ns, f);
  if (rt === null) return outputErrno;
  const local = (rt.rt_flags & RTCF_LOCAL) !== 0;
  let s = `${local ? "local " : ""}${addr} `;
  if (rt.rt_gw !== 0) s += `via ${formatIpv4(rt.rt_gw)} `;
  s += `dev ${rt.dev.name} src ${formatIpv4(f.saddr)} uid 0 \n    cache `;
  if (local) s += "<local> ";
  if (rt.pmtu !== 0) {
    const left = Math.max(0, Math.floor((rt.pmtuExpiresNs - ns.kernel.clock.ns) / 1e9));
    s += `expires ${left}sec mtu ${rt.pmtuLocked ? "lock " : ""}${rt.pmtu} `;
  } else if (rt.fi !== null && rt.fi.mtu !== 0) s += `mtu ${rt.fi.mtu} `;
  return `${s}\n`;
}

/** `ip rule show`. */
export function showRules(ns: Netns): string {
  return ns.fib.rules.map((r) => `${ruleText(r)}\n`).join("");
}

function ruleText(r: FibRule): string {
  let s = `${r.pref}:\t${r.invert ? "not " : ""}from ${r.srcLen === 0 ? "all" : prefixText(r.src, r.srcLen)}`;
  if (r.dstLen !== 0) s += ` to ${prefixText(r.dst, r.dstLen)}`;
  if (r.tos !== 0) s += ` tos 0x${r.tos.toString(16)}`;
  if (r.fwmask !== 0) {
    s += ` fwmark 0x${(r.fwmark >>> 0).toString(16)}`;
    if (r.fwmask !== -1) s += `/0x${(r.fwmask >>> 0).toString(16)}`;
  }
  if (r.iif !== "") s += ` iif ${r.iif}`;
  if (r.oif !== "") s += ` oif ${r.oif}`;
  if (r.ipproto !== 0) s += ` ipproto ${{ 6: "tcp", 17: "udp", 1: "icmp" }[r.ipproto] ?? r.ipproto}`;
  if (r.action === "table") s += ` lookup ${tableName(r.table)}`;
  else s += ` ${r.action}`;
  if (r.suppressPrefixLen >= 0) s += ` suppress_prefixlength ${r.suppressPrefixLen}`;
  return s;
}

const NUD_NAMES: readonly (readonly [number, string])[] = [
  [1, "INCOMPLETE"],
  [2, "REACHABLE"],
  [4, "STALE"],
  [8, "DELAY"],
  [0x10, "PROBE"],
  [0x20, "FAILED"],
  [0x40, "NOARP"],
  [0x80, "PERMANENT"],
];

/** `ip neigh show`: entries without ARP are left out, as the tool does. */
export function showNeigh(ns: Netns, name: string | null = null): string {
  let s = "";
  for (const d of allDevs(ns)) {
    if (name !== null && d.name !== name) continue;
    for (const n of d.arp.values()) {
      if (n.state === 0 || (n.state & 0x40) !== 0) continue;
      s += `${formatIpv4(n.ip)} dev ${d.name} `;
      if ((n.state & 0xde) !== 0) s += `lladdr ${macText(n.ha)} `;
      s += `${NUD_NAMES.filter(([b]) => (n.state & b) !== 0)
        .map(([, t]) => t)
        .join(" ")} \n`;
    }
  }
  return s;
}

/** `ip tunnel show`. */
export function showTunnels(ns: Netns): string {
  let s = "";
  for (const d of allDevs(ns)) {
    if (!(d instanceof IpipDevice)) continue;
    const end = (a: number): string => (a === 0 ? "any" : formatIpv4(a));
    s += `${d.name}: ${d.fallback ? "any/ip" : "ip/ip"} remote ${end(d.remote)} local ${end(d.local)}`;
    if (d.link !== null) s += ` dev ${d.link.name}`;
    s += ` ttl ${d.ttl === 0 ? "inherit" : d.ttl}`;
    if (d.tos !== 0) s += d.tos === 1 ? " tos inherit" : ` tos 0x${d.tos.toString(16)}`;
    if (d.ttl === 0 && !d.pmtudisc) s += " nopmtudisc";
    s += "\n";
  }
  return s;
}
