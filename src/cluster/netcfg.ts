// Addresses, links, routes and rules as configuration writes them: text in, the kernel model's calls behind.

import { PodpathError } from "../base/errors.js";
import type { NetDevice } from "../kernel/device.js";
import {
  fibRule,
  type RouteSpec,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RTN_BLACKHOLE,
  RTN_LOCAL,
  RTN_PROHIBIT,
  RTN_UNICAST,
  RTN_UNREACHABLE,
} from "../kernel/fib.js";
import { addr6_add } from "../kernel/ipv6/addrconf.js";
import { Fib6 } from "../kernel/ipv6/fib6.js";
import { iptablesRestore, type Unmodelled } from "../kernel/netfilter/iptables.js";
import { nfSysctlSet } from "../kernel/netfilter/sysctl.js";
import { xtNet } from "../kernel/netfilter/xtables.js";
import type { Netns } from "../kernel/netns.js";
import { addr_add, link_up, parsePrefix, sysctl_set } from "../kernel/rtnetlink.js";
import { broadcastOf4, parseIpv4, parseIpv6 } from "../net/address.js";

/** A route as `ip route add` takes it. */
export interface RouteText {
  /** Prefix, address or `default`. */
  readonly to: string;
  readonly via?: string | undefined;
  readonly dev?: NetDevice | undefined;
  readonly src?: string | undefined;
  readonly type?: "unicast" | "blackhole" | "unreachable" | "prohibit" | "local";
  readonly scope?: "global" | "link";
  /** Protocol number: 2 kernel, 3 boot, 12 bird, 80 (Felix's default). */
  readonly proto?: number;
  readonly table?: number;
  readonly metric?: number;
  readonly mtu?: number | undefined;
  readonly onlink?: boolean;
}

const TYPES = {
  unicast: RTN_UNICAST,
  blackhole: RTN_BLACKHOLE,
  unreachable: RTN_UNREACHABLE,
  prohibit: RTN_PROHIBIT,
  local: RTN_LOCAL,
} as const;

/** `ip addr add CIDR dev DEV [metric M]`; an address without a prefix length is a /32 (or /128). */
export function addAddress(dev: NetDevice, cidr: string, metric = 0): void {
  const [a, bits] = cidr.split("/");
  if (cidr.includes(":")) {
    addr6_add(dev, parseIpv6(a!), bits === undefined ? 128 : Number(bits));
    return;
  }
  const len = bits === undefined ? 32 : Number(bits);
  const local = parseIpv4(a!);
  addr_add(dev, local, len, { metric, ...(len < 31 ? { broadcast: broadcastOf4(local, len) } : {}) });
}

/** `sysctl -w`, by the path below /proc/sys. Throws SCENARIO_INVALID for a switch that the model does not have. */
export function setSysctl(ns: Netns, path: string, value: string | number): void {
  if (!sysctl_set(ns, path, value) && !nfSysctlSet(ns, path, value)) {
    throw new PodpathError("SCENARIO_INVALID", `${ns.name}: sysctl ${path} is not modelled`);
  }
}

/** `ip link set DEV up`. */
export function linkUp(dev: NetDevice): void {
  link_up(dev);
}

/** `ip -6 route add` of a unicast route: prefix (`default` is ::/0), device and gateway. */
export function addRoute6(ns: Netns, to: string, dev: NetDevice, via?: string, mtu = 0): void {
  const [a, bits] = (to === "default" ? "::/0" : to).split("/");
  ns.fib6 ??= new Fib6(ns);
  ns.fib6.add({
    prefix: parseIpv6(a!),
    plen: bits === undefined ? 128 : Number(bits),
    dev,
    gw: via === undefined ? null : parseIpv6(via),
    mtu,
  });
}

/** `ip -6 route add TO via VIA`, by the device that the gateway is on; the kernel's words when it refuses. */
function addGateway6(ns: Netns, to: string, via: string): string | undefined {
  const dev = ns.fib6?.lookup(parseIpv6(via), 0, 0)?.dev ?? null;
  if (dev === null) return "RTNETLINK answers: No route to host";
  addRoute6(ns, to, dev, via);
  return undefined;
}

/** `addRoute` for who goes on without the route: gives the kernel's words when the kernel refuses. */
export function tryRoute(ns: Netns, r: RouteText): string | undefined {
  if (r.via?.includes(":") === true) return addGateway6(ns, r.to, r.via);
  const spec: RouteSpec = {
    ...parsePrefix(r.to),
    type: TYPES[r.type ?? "unicast"],
    scope:
      r.scope === "link" || (r.scope === undefined && r.via === undefined && r.type === undefined)
        ? RT_SCOPE_LINK
        : RT_SCOPE_UNIVERSE,
    ...(r.table === undefined ? {} : { table: r.table }),
    ...(r.proto === undefined ? {} : { protocol: r.proto }),
    ...(r.src === undefined ? {} : { prefsrc: parseIpv4(r.src) }),
    ...(r.metric === undefined ? {} : { metric: r.metric }),
    ...(r.mtu === undefined ? {} : { mtu: r.mtu }),
    nexthops:
      r.via === undefined && r.dev === undefined
        ? []
        : [
            {
              ...(r.dev === undefined ? {} : { dev: r.dev }),
              ...(r.via === undefined ? {} : { gw: parseIpv4(r.via) }),
              ...(r.onlink === undefined ? {} : { onlink: r.onlink }),
            },
          ],
  };
  const err = ns.fib.addRoute(spec);
  if (err === null) return undefined;
  return err.msg === "" ? `errno ${err.errno}` : err.msg;
}

/**
 * `ip route add`; over IPv6 only unicast routes by a gateway. Throws SCENARIO_INVALID with the kernel's words when the
 * kernel refuses.
 */
export function addRoute(ns: Netns, r: RouteText): void {
  const refused = tryRoute(ns, r);
  if (refused === undefined) return;
  const via = r.via === undefined ? "" : ` via ${r.via}`;
  const dev = r.dev === undefined ? "" : ` dev ${r.dev.name}`;
  throw new PodpathError(
    "SCENARIO_INVALID",
    `${ns.name}: route ${r.to}${via}${dev} cannot be added: ${refused}`,
  );
}

/** `ip rule add pref P fwmark M/MASK lookup T`. */
export function addMarkRule(ns: Netns, pref: number, fwmark: number, fwmask: number, table: number): void {
  ns.fib.addRule(fibRule({ pref, fwmark, fwmask, table }));
}

/**
 * `iptables-restore`, with `noflush` as `iptables-restore --noflush`. Gives what of the text is not modelled, by rule and
 * line. Throws RULES_INVALID with the position of the first mistake.
 */
export function restoreIptables(
  ns: Netns,
  text: string,
  file: string,
  noflush = false,
): readonly Unmodelled[] {
  return iptablesRestore(ns, text, { file, noflush }).unmodelled;
}

/** `ipset create NAME TYPE` and `ipset add` of each member. */
export function makeIpset(ns: Netns, name: string, type: string, members: Iterable<string>): void {
  const set = xtNet(ns).sets.create(name, type, true);
  for (const m of members) set.add(m);
}
