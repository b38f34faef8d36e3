// What the older tools of an operator print about a namespace: net-tools 2.10 (`route -n`, `arp -n`, `ifconfig`),
// ethtool, bridge-utils. What `ip` prints is in iproute_show.ts.

import { formatIpv4, formatMac, htonl } from "../net/address.js";
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
import { RTN_BROADCAST, RTN_LOCAL, RTN_PROHIBIT, RTN_UNREACHABLE } from "./fib.js";
import type { CommandResult } from "./iproute.js";
import { NUD_NOARP, NUD_NONE, NUD_PERMANENT, NUD_VALID } from "./neighbour.js";
import type { Netns } from "./netns.js";

const ok = (out: string): CommandResult => ({ rc: 0, out });

const devices = (ns: Netns): NetDevice[] => ns.devs.filter((d) => d !== null);

const running = (d: NetDevice): boolean => d.up && d.carrier && !idleBridge(d);

/** A bridge without a port that is up has no carrier. */
const idleBridge = (d: NetDevice): boolean =>
  d instanceof BridgeDevice && !d.ports.some((p) => p.dev.up && p.dev.carrier);

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
  if (peer === null || d.kind !== "veth") return { rc: 94, out: "no stats available\n" };
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
