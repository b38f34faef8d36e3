// What the tools of an operator print about a namespace: iproute2 6.1 (`ip route|addr|link|neigh|rule`), net-tools 2.10
// (`route -n`, `arp -n`, `ifconfig`), ethtool, bridge-utils. The commands that change something are in iproute.ts.

import { formatIpv4, formatMac, htonl, tryParseIpv4 } from "../net/address.js";
import { BridgeDevice } from "./bridge.js";
import {
  ARPHRD_LOOPBACK,
  ARPHRD_TUNNEL,
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
  RX_FRAME_ERRORS,
  RX_PACKETS,
  TX_BYTES,
  TX_DROPPED,
  TX_ERRORS,
  TX_PACKETS,
} from "./device.js";
import {
  type FibAlias,
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_SITE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_DEFAULT,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTN_BLACKHOLE,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_PROHIBIT,
  RTN_THROW,
  RTN_UNREACHABLE,
  RTNH_F_ONLINK,
} from "./fib.js";
import { IpipDevice } from "./ipip.js";
import { type CommandResult, PROTOS, rtnetlinkText } from "./iproute.js";
import {
  NUD_DELAY,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_NOARP,
  NUD_NONE,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
  NUD_VALID,
} from "./neighbour.js";
import type { Netns } from "./netns.js";
import { flowOut, ip_route_output_flow, outputErrno, RTCF_LOCAL } from "./route.js";

const TYPE_WORDS: Readonly<Record<number, string>> = {
  [RTN_LOCAL]: "local ",
  [RTN_BROADCAST]: "broadcast ",
  [RTN_BLACKHOLE]: "blackhole ",
  [RTN_UNREACHABLE]: "unreachable ",
  [RTN_PROHIBIT]: "prohibit ",
  [RTN_THROW]: "throw ",
};
const SCOPE_WORDS: Readonly<Record<number, string>> = {
  [RT_SCOPE_SITE]: "site",
  [RT_SCOPE_LINK]: "link",
  [RT_SCOPE_HOST]: "host",
  [RT_SCOPE_NOWHERE]: "nowhere",
};
const PROTO_WORDS = new Map(Object.entries(PROTOS).map(([name, n]) => [n, name]));
const RTPROT_BOOT = 3;

const ok = (out: string): CommandResult => ({ rc: 0, out });
const missing = (name: string): CommandResult => ({ rc: 1, out: `Device "${name}" does not exist.\n` });

// --- ip -------------------------------------------------------------------------------------------------------------

/** `ip ... [show|list|get]` by its arguments; null when they ask for something else. */
export function ip_show(ns: Netns, argv: readonly string[]): CommandResult | null {
  const flags = argv.filter((a) => a.startsWith("-"));
  const [object = "", ...rest] = argv.filter((a) => !a.startsWith("-"));
  const is = (full: string): boolean => object !== "" && full.startsWith(object);
  const [verb = "show"] = rest;
  const showing = ["show", "list", "ls", "lst", "sh"].includes(verb);
  if (is("route") && verb === "get") return ip_route_get(ns, rest[1] ?? "");
  if (!showing) return null;
  const args = rest.slice(1);
  if (is("route")) return ip_route_show(ns, args);
  if (is("rule")) return ok(ip_rule_show(ns));
  if (is("neighbour") || is("neighbor")) return ok(ip_neigh_show(ns, after(args, "dev")));
  if (is("tunnel")) return ok(ip_tunnel_show(ns));
  if (is("link") || is("address")) {
    const name = args.find((a) => a !== "dev" && a !== "up");
    const devs = name === undefined ? devices(ns) : [ns.devByName(name)];
    if (devs[0] === null) return missing(name!);
    const text = (d: NetDevice): string =>
      is("link")
        ? linkText(d, true) + (flags.includes("-s") ? statsText(d) : "")
        : linkText(d, false) + addrText(d);
    return ok(devs.map((d) => text(d!)).join(""));
  }
  return null;
}

const after = (args: readonly string[], word: string): string | undefined =>
  args.includes(word) ? args[args.indexOf(word) + 1] : undefined;

const devices = (ns: Netns): NetDevice[] => ns.devs.filter((d) => d !== null);

/** `ip route [show] [table T] [dev D] [PREFIX]`: each line ends with a space. */
export function ip_route_show(ns: Netns, args: readonly string[] = []): CommandResult {
  const t = after(args, "table");
  const names: Record<string, number> = {
    local: RT_TABLE_LOCAL,
    main: RT_TABLE_MAIN,
    default: RT_TABLE_DEFAULT,
  };
  const id = t === undefined ? RT_TABLE_MAIN : (names[t] ?? Number(t));
  const table = ns.fib.tables.get(id);
  if (table === undefined) return { rc: 2, out: "Error: ipv4: FIB table does not exist.\nDump terminated\n" };
  const dev = after(args, "dev");
  const routes = table.routes().filter((r) => dev === undefined || r.info.nhs[0]?.dev?.name === dev);
  return ok(routes.map((r) => `${routeText(r, dev !== undefined)}\n`).join(""));
}

function routeText(r: FibAlias, withoutDev: boolean): string {
  const i = r.info;
  let s = (TYPE_WORDS[r.type] ?? "") + prefixText(r.prefix, r.plen);
  const hop = i.nhs[0];
  const flags: string[] = [];
  if (i.nhs.length === 1 && hop !== undefined) {
    if (hop.gw !== 0) s += ` via ${formatIpv4(hop.gw)}`;
    if (hop.dev !== null && !withoutDev) s += ` dev ${hop.dev.name}`;
    if (r.type !== RTN_LOCAL && hop.dev !== null && (!hop.dev.up || !hop.dev.carrier)) flags.push("linkdown");
    if ((hop.flags & RTNH_F_ONLINK) !== 0) flags.push("onlink");
  }
  if (i.protocol !== RTPROT_BOOT) s += ` proto ${PROTO_WORDS.get(i.protocol) ?? i.protocol}`;
  if (i.scope !== RT_SCOPE_UNIVERSE && SCOPE_WORDS[i.scope] !== undefined && i.type !== RTN_BLACKHOLE)
    s += ` scope ${SCOPE_WORDS[i.scope]}`;
  if (i.prefsrc !== 0) s += ` src ${formatIpv4(i.prefsrc)}`;
  if (i.priority !== 0) s += ` metric ${i.priority}`;
  for (const f of flags) s += ` ${f}`;
  if (i.mtu !== 0) s += ` mtu ${i.mtuLocked ? "lock " : ""}${i.mtu}`;
  if (i.advmss !== 0) s += ` advmss ${i.advmss}`;
  s += " ";
  if (i.nhs.length > 1) {
    for (const h of i.nhs) {
      s += `\n\tnexthop${h.gw === 0 ? "" : ` via ${formatIpv4(h.gw)}`}${h.dev === null ? "" : ` dev ${h.dev.name}`} weight ${h.weight} `;
      if ((h.flags & RTNH_F_ONLINK) !== 0) s += "onlink ";
    }
  }
  return s;
}

function prefixText(prefix: number, plen: number): string {
  if (plen === 0) return "default";
  const a = formatIpv4(htonl(prefix));
  return plen === 32 ? a : `${a}/${plen}`;
}

/** `ip route get ADDRESS`. */
export function ip_route_get(ns: Netns, address: string): CommandResult {
  const daddr = tryParseIpv4(address);
  if (daddr === undefined)
    return { rc: 1, out: `Error: inet prefix is expected rather than "${address}".\n` };
  const f = flowOut(ns);
  f.daddr = daddr;
  const rt = ip_route_output_flow(ns, f);
  if (rt === null) return { rc: 2, out: rtnetlinkText({ errno: outputErrno, msg: "" }) };
  let s = (rt.rt_flags & RTCF_LOCAL) !== 0 ? "local " : (TYPE_WORDS[rt.rt_type] ?? "");
  s += formatIpv4(daddr);
  if (rt.rt_gw !== 0) s += ` via ${formatIpv4(rt.rt_gw)}`;
  s += ` dev ${rt.dev.name} src ${formatIpv4(f.saddr)} uid 0 \n    cache `;
  if ((rt.rt_flags & RTCF_LOCAL) !== 0) s += "<local> ";
  const left = rt.pmtu === 0 ? 0 : Math.floor((rt.pmtuExpiresNs - ns.kernel.clock.ns) / 1e9);
  if (left > 0) s += `expires ${left}sec mtu ${rt.pmtu} `;
  return ok(`${s}\n`);
}

function ip_rule_show(ns: Netns): string {
  const table = (t: number): string =>
    t === RT_TABLE_LOCAL
      ? "local"
      : t === RT_TABLE_MAIN
        ? "main"
        : t === RT_TABLE_DEFAULT
          ? "default"
          : String(t);
  return [...ns.fib.rules]
    .sort((a, b) => a.pref - b.pref)
    .map((r) => {
      let s = `${r.pref}:\t${r.invert ? "not " : ""}from ${r.srcLen === 0 ? "all" : prefixText(r.src, r.srcLen)}`;
      if (r.dstLen > 0) s += ` to ${prefixText(r.dst, r.dstLen)}`;
      if (r.fwmark !== 0) {
        s += ` fwmark 0x${(r.fwmark >>> 0).toString(16)}`;
        if (r.fwmask !== -1) s += `/0x${(r.fwmask >>> 0).toString(16)}`;
      }
      if (r.iif !== "") s += ` iif ${r.iif}`;
      if (r.oif !== "") s += ` oif ${r.oif}`;
      return `${s} ${r.action === "table" ? `lookup ${table(r.table)}` : r.action}\n`;
    })
    .join("");
}

const NUD_WORDS: readonly (readonly [number, string])[] = [
  [NUD_INCOMPLETE, "INCOMPLETE"],
  [NUD_REACHABLE, "REACHABLE"],
  [NUD_STALE, "STALE"],
  [NUD_DELAY, "DELAY"],
  [NUD_PROBE, "PROBE"],
  [NUD_FAILED, "FAILED"],
  [NUD_NOARP, "NOARP"],
  [NUD_PERMANENT, "PERMANENT"],
];

function ip_neigh_show(ns: Netns, dev: string | undefined): string {
  let s = "";
  for (const d of devices(ns)) {
    if (dev !== undefined && d.name !== dev) continue;
    for (const n of d.arp.values()) {
      if (n.state === NUD_NONE || n.state === NUD_NOARP) continue;
      const state = NUD_WORDS.find(([bit]) => (n.state & bit) !== 0)![1];
      const mac = (n.state & NUD_VALID) === 0 ? "" : ` lladdr ${formatMac(n.ha)}`;
      s += `${formatIpv4(n.ip)}${dev === undefined ? ` dev ${d.name}` : ""}${mac} ${state} \n`;
    }
  }
  return s;
}

function ip_tunnel_show(ns: Netns): string {
  let s = "";
  for (const d of devices(ns)) {
    if (!(d instanceof IpipDevice)) continue;
    const any = (a: number): string => (a === 0 ? "any" : formatIpv4(a));
    const mode = d.fallback ? "any/ip" : "ip/ip";
    s += `${d.name}: ${mode} remote ${any(d.remote)} local ${any(d.local)} ttl ${d.ttl === 0 ? "inherit" : d.ttl}`;
    if (d.tos === 1) s += " tos inherit";
    else if (d.tos !== 0) s += ` tos 0x${d.tos.toString(16)}`;
    s += `${d.ttl === 0 && !d.pmtudisc ? " nopmtudisc" : ""}\n`;
  }
  return s;
}

const running = (d: NetDevice): boolean => d.up && d.carrier && !idleBridge(d);

/** A bridge without a port that is up has no carrier. */
const idleBridge = (d: NetDevice): boolean =>
  d instanceof BridgeDevice && !d.ports.some((p) => p.dev.up && p.dev.carrier);

function flagsText(d: NetDevice): string {
  const words: string[] = [];
  if (d.up && !running(d)) words.push("NO-CARRIER");
  for (const [bit, word] of [
    [IFF_LOOPBACK, "LOOPBACK"],
    [IFF_BROADCAST, "BROADCAST"],
    [IFF_POINTOPOINT, "POINTOPOINT"],
    [IFF_MULTICAST, "MULTICAST"],
    [IFF_NOARP, "NOARP"],
    [IFF_PROMISC, "PROMISC"],
  ] as const)
    if ((d.flags & bit) !== 0 && !(bit === IFF_MULTICAST && d.kind === "dummy")) words.push(word);
  if (d.up) words.push("UP");
  if (running(d)) words.push("LOWER_UP");
  return words.join(",");
}

function stateText(d: NetDevice): string {
  if (!d.up) return "DOWN";
  if (d.peerDev() !== null || d instanceof BridgeDevice) {
    if (running(d)) return "UP";
    return d instanceof BridgeDevice ? "DOWN" : "LOWERLAYERDOWN";
  }
  return d.kind === "wire" ? "UP" : "UNKNOWN";
}

/** The two lines that `ip link` and `ip addr` begin with. */
function linkText(d: NetDevice, mode: boolean): string {
  const peer = d.peerDev();
  let name = d.name;
  if (peer !== null) name += peer.ns === d.ns ? `@${peer.name}` : `@if${peer.ifindex}`;
  else if (d.type === ARPHRD_TUNNEL) name += "@NONE";
  const qdisc = !d.up && (d.kind === "dummy" || d.type === ARPHRD_TUNNEL) ? "noop" : "noqueue";
  let s = `${d.ifindex}: ${name}: <${flagsText(d)}> mtu ${d.mtu} qdisc ${d.kind === "wire" ? "mq" : qdisc}`;
  if (d.master !== null) s += ` master ${d.master.name}`;
  s += ` state ${stateText(d)}${mode ? " mode DEFAULT" : ""} group default qlen 1000\n`;
  if (d instanceof IpipDevice) {
    const ends = (a: number): string => formatIpv4(a);
    s += `    link/ipip ${ends(d.local)} ${(d.flags & IFF_POINTOPOINT) !== 0 ? "peer" : "brd"} ${ends(d.remote)}`;
  } else {
    const kind = d.type === ARPHRD_LOOPBACK ? "loopback" : "ether";
    const brd = d.type === ARPHRD_LOOPBACK ? "00:00:00:00:00:00" : "ff:ff:ff:ff:ff:ff";
    s += `    link/${kind} ${formatMac(d.mac)} brd ${brd}`;
  }
  if (peer !== null && peer.ns !== d.ns) s += ` link-netns ${peer.ns.name}`;
  return `${s}\n`;
}

function addrText(d: NetDevice): string {
  let s = "";
  for (const a of d.addrs) {
    s += `    inet ${formatIpv4(a.local)}`;
    s += a.address === a.local ? `/${a.prefixLen}` : ` peer ${formatIpv4(a.address)}/${a.prefixLen}`;
    if (a.metric !== 0) s += ` metric ${a.metric}`;
    if (a.broadcast !== 0) s += ` brd ${formatIpv4(a.broadcast)}`;
    s += ` scope ${SCOPE_WORDS[a.scope] ?? "global"}${a.secondary ? " secondary" : ""} ${a.label}\n`;
    s += "       valid_lft forever preferred_lft forever\n";
  }
  return s;
}

function statsText(d: NetDevice): string {
  const rx = [RX_BYTES, RX_PACKETS, RX_ERRORS, RX_DROPPED, -1, MULTICAST].map((i) =>
    i < 0 ? 0 : d.stats[i]!,
  );
  const tx = [TX_BYTES, TX_PACKETS, TX_ERRORS, TX_DROPPED, -1, COLLISIONS].map((i) =>
    i < 0 ? 0 : d.stats[i]!,
  );
  const width = [10, 7, 6, 7, 7, 7].map((w, i) => Math.max(w, String(rx[i]).length, String(tx[i]).length));
  const row = (head: string, cells: readonly (string | number)[]): string =>
    `    ${head}${cells.map((c, i) => String(c).padStart(i === 0 ? width[0]! - head.length : width[i]!)).join(" ")}`;
  const heads = (dir: string, last: readonly string[]): string =>
    row(`${dir}:`, ["bytes", "packets", "errors", "dropped", ...last]);
  return `${heads("RX", ["missed", "mcast"])}           \n${row("", rx)} \n${heads("TX", ["carrier", "collsns"])}           \n${row("", tx)} \n`;
}

// --- net-tools --------------------------------------------------------------------------------------------------------

/** `route -n`. */
export function route_n(ns: Netns): string {
  let s =
    "Kernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n";
  for (const r of ns.fib.main.routes()) {
    if (r.type === RTN_BROADCAST || r.type === RTN_LOCAL) continue;
    const hop = r.info.nhs[0];
    let flags = "U";
    if (r.type === RTN_UNREACHABLE || r.type === RTN_PROHIBIT) flags = "!";
    if (hop !== undefined && hop.gw !== 0) flags += "G";
    if (r.plen === 32) flags += "H";
    const mask = r.plen === 0 ? 0 : -1 << (32 - r.plen);
    const cells = [formatIpv4(htonl(r.prefix)), formatIpv4(hop?.gw ?? 0), formatIpv4(htonl(mask))];
    s += `${cells.map((c) => c.padEnd(15)).join(" ")} ${flags.padEnd(5)} ${String(r.info.priority).padEnd(6)} ${"0".padEnd(2)} ${"0".padStart(7)} ${hop?.dev?.name ?? "*"}\n`;
  }
  return s;
}

/** `arp -n`: nothing at all for an empty table. */
export function arp_n(ns: Netns): string {
  let s = "";
  for (const d of devices(ns)) {
    for (const n of d.arp.values()) {
      if (n.state === NUD_NONE || n.state === NUD_NOARP) continue;
      const known = (n.state & NUD_VALID) !== 0;
      const flags = !known ? "" : (n.state & NUD_PERMANENT) !== 0 ? "CM" : "C";
      const a = formatIpv4(n.ip).padEnd(25);
      s += known
        ? `${a}${"ether".padEnd(8)}${formatMac(n.ha).padEnd(20)}${flags.padEnd(22)}${d.name}\n`
        : `${a}${" ".repeat(8)}${"(incomplete)".padEnd(42)}${d.name}\n`;
    }
  }
  return s === ""
    ? ""
    : `Address                  HWtype  HWaddress           Flags Mask            Iface\n${s}`;
}

const NET_TOOLS_FLAGS: readonly (readonly [number, string])[] = [
  [1, "UP"],
  [IFF_BROADCAST, "BROADCAST"],
  [IFF_LOOPBACK, "LOOPBACK"],
  [IFF_POINTOPOINT, "POINTOPOINT"],
  [0x40, "RUNNING"],
  [IFF_NOARP, "NOARP"],
  [IFF_PROMISC, "PROMISC"],
  [IFF_MULTICAST, "MULTICAST"],
];

/** `ifconfig [-a] [DEV]`: devices by name; those that are down only when asked for. */
export function ifconfig(ns: Netns, args: readonly string[] = []): CommandResult {
  const name = args.find((a) => !a.startsWith("-"));
  if (name !== undefined) {
    const d = ns.devByName(name);
    if (d === null)
      return { rc: 1, out: `${name}: error fetching interface information: Device not found\n` };
    return ok(ifconfigText(d));
  }
  const all = devices(ns).filter((d) => args.includes("-a") || d.up);
  return ok(
    all
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(ifconfigText)
      .join(""),
  );
}

function ifconfigText(d: NetDevice): string {
  const flags = d.flags | (running(d) ? 0x40 : 0);
  const words = NET_TOOLS_FLAGS.filter(([bit]) => (flags & bit) !== 0).map(([, w]) => w);
  let s = `${d.name}: flags=${flags}<${words.join(",")}>  mtu ${d.mtu}\n`;
  const a = d.addrs[0];
  if (a !== undefined) {
    const mask = a.prefixLen === 0 ? 0 : -1 << (32 - a.prefixLen);
    s += `        inet ${formatIpv4(a.local)}  netmask ${formatIpv4(htonl(mask))}`;
    if ((d.flags & IFF_BROADCAST) !== 0) s += `  broadcast ${formatIpv4(a.broadcast)}`;
    s += "\n";
  }
  if (d.type === ARPHRD_LOOPBACK) s += "        loop  txqueuelen 1000  (Local Loopback)\n";
  else if (d.type === ARPHRD_TUNNEL) s += "        tunnel   txqueuelen 1000  (IPIP Tunnel)\n";
  else s += `        ether ${formatMac(d.mac)}  txqueuelen 1000  (Ethernet)\n`;
  const n = (i: number): number => d.stats[i]!;
  s += `        RX packets ${n(RX_PACKETS)}  bytes ${n(RX_BYTES)} (${human(n(RX_BYTES))})\n`;
  s += `        RX errors ${n(RX_ERRORS)}  dropped ${n(RX_DROPPED)}  overruns 0  frame ${n(RX_FRAME_ERRORS)}\n`;
  s += `        TX packets ${n(TX_PACKETS)}  bytes ${n(TX_BYTES)} (${human(n(TX_BYTES))})\n`;
  s += `        TX errors ${n(TX_ERRORS)}  dropped ${n(TX_DROPPED)} overruns 0  carrier 0  collisions ${n(COLLISIONS)}\n\n`;
  return s;
}

/** Bytes as net-tools shows them: truncated to one digit. */
function human(bytes: number): string {
  for (const [unit, word] of [
    [2 ** 40, "TiB"],
    [2 ** 30, "GiB"],
    [2 ** 20, "MiB"],
    [2 ** 10, "KiB"],
  ] as const)
    if (bytes >= unit) return `${(Math.floor((bytes * 10) / unit) / 10).toFixed(1)} ${word}`;
  return `${bytes.toFixed(1)} B`;
}

/** `ethtool -S DEV` of a veth; the index is that of the peer in its own namespace. */
export function ethtool_S(ns: Netns, name: string): CommandResult {
  const d = ns.devByName(name);
  const peer = d?.peerDev() ?? null;
  if (d === null) return { rc: 71, out: "Cannot get stats strings information: No such device\n" };
  if (peer === null) return { rc: 94, out: "no stats available\n" };
  const counters = [
    "rx_queue_0_xdp_packets",
    "rx_queue_0_xdp_bytes",
    "rx_queue_0_drops",
    "rx_queue_0_xdp_redirect",
    "rx_queue_0_xdp_drops",
    "rx_queue_0_xdp_tx",
    "rx_queue_0_xdp_tx_errors",
    "tx_queue_0_xdp_xmit",
    "tx_queue_0_xdp_xmit_errors",
  ];
  return ok(
    `NIC statistics:\n     peer_ifindex: ${peer.ifindex}\n${counters.map((c) => `     ${c}: 0\n`).join("")}`,
  );
}

/** `brctl show`. */
export function brctl_show(ns: Netns): string {
  let s = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n";
  for (const d of devices(ns)) {
    if (!(d instanceof BridgeDevice)) continue;
    const names = d.ports.map((p) => p.dev.name).sort();
    s += `${d.name}\t\t8000.${formatMac(d.mac).replaceAll(":", "")}\tno\t\t${names[0] ?? ""}\n`;
    for (const n of names.slice(1)) s += `\t\t\t\t\t\t\t${n}\n`;
  }
  return s;
}
