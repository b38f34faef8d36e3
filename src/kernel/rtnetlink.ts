// What `ip link`, `ip addr`, `ip route`, `ip rule` and `ip neigh` ask of the kernel (rtnetlink), as functions.
// Refusals come back as RtError: the errno and, where the kernel has words of its own, those.

import { parseIpv4 } from "../net/address.js";
import { bswap32 } from "../net/view.js";
import { arp_announce_addr } from "./arp.js";
import { IFF_LOOPBACK, IFF_UP, type InAddr, type NetDevice } from "./device.js";
import { MASK, RT_SCOPE_HOST, RT_SCOPE_UNIVERSE, type RtError } from "./fib.js";
import {
  NEIGH_UPDATE_F_ADMIN,
  NEIGH_UPDATE_F_OVERRIDE,
  Neighbour,
  NUD_PERMANENT,
  neigh_flush_dev,
} from "./neighbour.js";
import type { Netns } from "./netns.js";
import { inet_ifa_match } from "./route.js";
import { IpConf } from "./sysctl.js";

/** `ip link set DEV up`. */
export function link_up(dev: NetDevice): void {
  if ((dev.flags & IFF_UP) !== 0) return;
  dev.flags |= IFF_UP;
  dev.wasUp = true;
  const ns = dev.ns;
  ns.rtGenid++;
  if ((dev.flags & IFF_LOOPBACK) !== 0 && !dev.addrs.some((a) => a.local === 0x0100007f))
    addr_add(dev, 0x0100007f, 8, { scope: RT_SCOPE_HOST });
  else ns.fib.syncUpDev(dev);
  updateCarrier(dev);
  dev.opened();
  if (dev.conf.arp_notify !== 0 || ns.confAll.arp_notify !== 0)
    for (const a of dev.addrs) arp_announce_addr(dev, a.local);
}

/** `ip link set DEV down`: routes through it vanish, neighbours too. */
export function link_down(dev: NetDevice): void {
  if ((dev.flags & IFF_UP) === 0) return;
  dev.flags &= ~IFF_UP;
  dev.ns.fib.syncDownDev(dev);
  neigh_flush_dev(dev, false);
  updateCarrier(dev);
  dev.stopped();
}

/** The carrier of a veth follows the state of its peer. */
function updateCarrier(dev: NetDevice): void {
  if (dev.brPort !== null) dev.brPort.br.updateCarrier();
  const peer = dev.peerDev();
  if (peer === null) return;
  const both = dev.up && peer.up;
  for (const d of [dev, peer]) {
    if (d.carrier === both) continue;
    d.carrier = both;
    d.ns.fib.carrierChanged(d);
    if (d.brPort !== null) d.brPort.br.updateCarrier();
    if (!both) neigh_flush_dev(d, true);
  }
}

/** Removes a device and, of a veth, its peer. */
export function link_del(dev: NetDevice): void {
  const peer = dev.peerDev();
  for (const d of peer === null ? [dev] : [dev, peer]) {
    link_down(d);
    for (const a of [...d.addrs]) addr_del(d, a.local, a.prefixLen);
    d.ns.fib.syncDownDev(d);
    d.ns.unregister(d);
    d.ns.rtGenid++;
  }
}

export interface AddrOptions {
  readonly scope?: number;
  /** Be32; default none. */
  readonly broadcast?: number;
  /** Be32 of the other end of a point-to-point address. */
  readonly peer?: number;
  readonly label?: string;
  readonly metric?: number;
}

/** `ip addr add`: Be32 address. An address of a subnet that is there already becomes secondary. */
export function addr_add(
  dev: NetDevice,
  local: number,
  prefixLen: number,
  o: AddrOptions = {},
): RtError | null {
  const ns = dev.ns;
  const address = o.peer ?? local;
  const scope = o.scope ?? RT_SCOPE_UNIVERSE;
  const probe: InAddr = {
    local,
    address,
    prefixLen,
    broadcast: o.broadcast ?? 0,
    scope,
    label: o.label ?? dev.name,
    secondary: false,
    metric: o.metric ?? 0,
  };
  let at = 0;
  const { addrs } = dev;
  // One pass: kube-ipvs0 has an address for each of thousands of services.
  for (let i = 0; i < addrs.length; i++) {
    const a = addrs[i]!;
    if (!a.secondary && scope <= a.scope) at = i + 1;
    if (a.prefixLen !== prefixLen) continue;
    if (a.local === local) return { errno: 17, msg: "Address already assigned" };
    if (inet_ifa_match(address, a)) probe.secondary = true;
  }
  if (probe.secondary) dev.addrs.push(probe);
  else dev.addrs.splice(at, 0, probe);
  ns.fib.addIfAddr(dev, probe);
  if (dev.up && (dev.conf.arp_notify !== 0 || ns.confAll.arp_notify !== 0)) arp_announce_addr(dev, local);
  return null;
}

/** `ip addr del`. Secondaries of the subnet go with their primary (promote_secondaries 0). */
export function addr_del(dev: NetDevice, local: number, prefixLen: number): RtError | null {
  const at = dev.addrs.findIndex((a) => a.local === local && a.prefixLen === prefixLen);
  if (at < 0) return { errno: 99, msg: "Address not found" };
  const gone = [dev.addrs[at]!];
  if (!gone[0]!.secondary) {
    const promote = dev.conf.promote_secondaries !== 0 || dev.ns.confAll.promote_secondaries !== 0;
    const secs = dev.addrs.filter(
      (a) => a.secondary && a.prefixLen === prefixLen && inet_ifa_match(local, a),
    );
    if (promote && secs.length > 0) secs[0]!.secondary = false;
    else gone.push(...secs);
  }
  for (const g of gone) dev.addrs.splice(dev.addrs.indexOf(g), 1);
  for (const g of gone) dev.ns.fib.delIfAddr(dev, g);
  return null;
}

/** `ip neigh replace IP lladdr MAC dev DEV nud permanent` (or another state). */
export function neigh_set(dev: NetDevice, ip: number, mac: Uint8Array, state: number = NUD_PERMANENT): void {
  let n = dev.arp.get(ip);
  if (n === undefined) {
    n = new Neighbour(dev, ip, null);
    dev.arp.set(ip, n);
  }
  n.update(mac, 0, state, NEIGH_UPDATE_F_ADMIN | NEIGH_UPDATE_F_OVERRIDE);
}

/** `ip neigh del`. */
export function neigh_del(dev: NetDevice, ip: number): RtError | null {
  const n = dev.arp.get(ip);
  if (n === undefined) return { errno: 2, msg: "" };
  n.destroy();
  dev.arp.delete(ip);
  return null;
}

/** "10.0.0.0/24", "10.0.0.1", "default" as host-order prefix and length. */
export function parsePrefix(text: string): { prefix: number; plen: number } {
  if (text === "default" || text === "all" || text === "any") return { prefix: 0, plen: 0 };
  const slash = text.indexOf("/");
  const addr = slash < 0 ? text : text.slice(0, slash);
  const plen = slash < 0 ? 32 : Number.parseInt(text.slice(slash + 1), 10);
  return { prefix: bswap32(parseIpv4(addr)), plen };
}

/** First address of a prefix, as the table keys it. */
export const maskPrefix = (prefix: number, plen: number): number => prefix & MASK[plen]!;

const CONF_KEYS = new Set<string>(Object.keys(new IpConf()));

/** Values of net.ipv4.* that are fields of Sysctl under another name or unit. */
const SYSCTL_ALIAS: Record<string, string> = {
  "net/ipv4/route/min_pmtu": "min_pmtu",
  "net/ipv4/route/mtu_expires": "mtu_expires",
  "net/ipv4/route/min_adv_mss": "min_adv_mss",
  "net/ipv4/route/redirect_number": "redirect_number",
  "net/bridge/bridge-nf-call-iptables": "bridge_nf_call_iptables",
  "net/bridge/bridge-nf-call-arptables": "bridge_nf_call_arptables",
};

/**
 * Writes a sysctl by its path below /proc/sys. False when the model has no such switch. Values that the kernel
 * writes through (ip_forward, conf/all/forwarding) are written through.
 */
export function sysctl_set(ns: Netns, path: string, value: string | number): boolean {
  const text = String(value).trim();
  const n = Number.parseInt(text, 10);
  ns.rtGenid++;
  if (path === "net/ipv4/ip_forward" || path === "net/ipv4/conf/all/forwarding") {
    ns.confAll.forwarding = n;
    ns.confDefault.forwarding = n;
    // inet_forward_change: receiving redirects is the opposite of forwarding.
    ns.confAll.accept_redirects = n !== 0 ? 0 : 1;
    for (const d of ns.devOrder) d.conf.forwarding = n;
    return true;
  }
  if (path === "net/ipv6/conf/all/forwarding") {
    ns.confAll.forwarding6 = n;
    ns.confDefault.forwarding6 = n;
    for (const d of ns.devOrder) d.conf.forwarding6 = n;
    return true;
  }
  if (path === "net/ipv4/ip_local_port_range") {
    const [a, b] = text.split(/\s+/).map(Number);
    ns.sysctl.ip_local_port_min = a!;
    ns.sysctl.ip_local_port_max = b!;
    return true;
  }
  const conf = /^net\/ipv([46])\/conf\/([^/]+)\/(\w+)$/.exec(path);
  if (conf !== null) {
    const key = conf[1] === "6" ? (conf[3] === "forwarding" ? "forwarding6" : conf[3]!) : conf[3]!;
    if (!CONF_KEYS.has(key)) return false;
    const target =
      conf[2] === "all" ? ns.confAll : conf[2] === "default" ? ns.confDefault : ns.devByName(conf[2]!)?.conf;
    if (target === undefined) return false;
    (target as unknown as Record<string, number>)[key] = n;
    return true;
  }
  const neigh = /^net\/ipv([46])\/neigh\/([^/]+)\/(\w+)$/.exec(path);
  if (neigh !== null) {
    const dev = ns.devByName(neigh[2]!);
    const p =
      neigh[2] === "default"
        ? neigh[1] === "4"
          ? ns.neighDefault
          : ns.neigh6Default
        : neigh[1] === "4"
          ? dev?.arpParms
          : dev?.ndParms;
    if (p === undefined) return false;
    const f = p as unknown as Record<string, number>;
    switch (neigh[3]) {
      case "base_reachable_time_ms":
        p.base_reachable_time = n;
        p.reachableNs = 0;
        return true;
      case "base_reachable_time":
        p.base_reachable_time = n * 1000;
        p.reachableNs = 0;
        return true;
      case "retrans_time_ms":
        p.retrans_time = n;
        return true;
      default:
        if (!(neigh[3]! in f)) return false;
        f[neigh[3]!] = n;
        return true;
    }
  }
  const name = SYSCTL_ALIAS[path] ?? /^net\/ipv4\/(\w+)$/.exec(path)?.[1];
  const s = ns.sysctl as unknown as Record<string, number>;
  if (name !== undefined && name in s) {
    s[name] = n;
    return true;
  }
  return ns.sysctlExtra(path, text);
}
