// Routes and neighbours of walk records as `ip route` and `ip neigh` print them. A record holds what the look-up found
// (struct rtable or fib_info); the prefix is found again in the tables of that namespace.

import type { StepRecord } from "../bpf/steps.js";
import {
  type FibAlias,
  FibInfo,
  MASK,
  RT_SCOPE_LINK,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTN_BLACKHOLE,
  RTN_LOCAL,
  RTN_PROHIBIT,
  RTN_UNREACHABLE,
} from "../kernel/fib.js";
import type { Route6 } from "../kernel/ipv6/fib6.js";
import { Neighbour } from "../kernel/neighbour.js";
import type { Netns } from "../kernel/netns.js";
import { Rtable } from "../kernel/route.js";
import { formatIpv4, formatIpv6, formatMac, htonl } from "../net/address.js";
import { bswap32 } from "../net/view.js";
import { decodeFrame, ipv4HeaderAt } from "./fields.js";

const TYPES: Readonly<Record<number, string>> = {
  [RTN_LOCAL]: "local ",
  [RTN_BLACKHOLE]: "blackhole ",
  [RTN_UNREACHABLE]: "unreachable ",
  [RTN_PROHIBIT]: "prohibit ",
};
const PROTOCOLS: Readonly<Record<number, string>> = { 2: "kernel", 4: "static", 12: "bird" };

/** A route as a line of `ip route show table all`, without the trailing space. */
export function routeText(fa: FibAlias): string {
  const i = fa.info;
  const prefix =
    fa.plen === 0 ? "default" : formatIpv4(htonl(fa.prefix)) + (fa.plen === 32 ? "" : `/${fa.plen}`);
  let out = (TYPES[fa.type] ?? "") + prefix;
  if (i.nhs.length === 1) {
    const nh = i.nhs[0]!;
    if (nh.gw !== 0) out += ` via ${formatIpv4(nh.gw)}`;
    if (nh.dev !== null) out += ` dev ${nh.dev.name}`;
  }
  if (fa.table !== RT_TABLE_MAIN) out += ` table ${fa.table === RT_TABLE_LOCAL ? "local" : fa.table}`;
  if (i.protocol !== 3) out += ` proto ${PROTOCOLS[i.protocol] ?? i.protocol}`;
  if (i.scope === RT_SCOPE_LINK) out += " scope link";
  if (i.prefsrc !== 0) out += ` src ${formatIpv4(i.prefsrc)}`;
  if (i.priority !== 0) out += ` metric ${i.priority}`;
  if (i.mtu !== 0) out += ` mtu ${i.mtu}`;
  for (const nh of i.nhs.length > 1 ? i.nhs : []) {
    out += ` nexthop${nh.gw === 0 ? "" : ` via ${formatIpv4(nh.gw)}`}${nh.dev === null ? "" : ` dev ${nh.dev.name}`}`;
  }
  return out;
}

/** An IPv6 route as a line of `ip -6 route`. */
export function route6Text(r: Route6): string {
  let out = (TYPES[r.type] ?? "") + (r.plen === 0 ? "default" : formatIpv6(r.prefix));
  if (r.plen !== 0 && r.plen !== 128) out += `/${r.plen}`;
  if (r.gw !== null) out += ` via ${formatIpv6(r.gw)}`;
  if (r.dev !== null) out += ` dev ${r.dev.name}`;
  if (r.src !== null) out += ` src ${formatIpv6(r.src)}`;
  out += ` metric ${r.metric}`;
  return r.mtu === 0 ? out : `${out} mtu ${r.mtu}`;
}

function isRoute6(ref: object | null): ref is Route6 {
  return ref !== null && "prefix" in ref && ref.prefix instanceof Uint8Array;
}

/** The route that a FIB record found; "no route" for a miss. */
export function routeOfRecord(r: StepRecord): string {
  const ref = r.ref;
  if (isRoute6(ref)) return route6Text(ref);
  let info: FibInfo | null = null;
  let ns: Netns | undefined;
  if (ref instanceof Rtable) {
    info = ref.fi;
    ns = ref.dev.ns;
  } else if (ref instanceof FibInfo) info = ref;
  ns ??= info?.nhs[0]?.dev?.ns;
  if (info !== null && ns !== undefined) {
    const fa = aliasOf(ns, info, r);
    if (fa !== undefined) return routeText(fa);
  }
  if (ref instanceof Rtable && r.a === 0) {
    return ref.rt_gw !== 0 ? `via ${formatIpv4(ref.rt_gw)} dev ${ref.dev.name}` : `dev ${ref.dev.name}`;
  }
  return r.a === 0 && ref !== null ? "" : "no route";
}

/** The IPv4 address that a FIB record asked for (network order); undefined where the packet is not IPv4. */
function ipv4OfRecord(r: StepRecord): number | undefined {
  if (r.c !== 0) return r.c;
  const f = r.frame;
  const at = ipv4HeaderAt(f);
  if (at < 0) return undefined;
  // rp_filter asks for the way back.
  const a = at + (r.b === 3 ? 12 : 16);
  return (f[a]! | (f[a + 1]! << 8) | (f[a + 2]! << 16) | (f[a + 3]! << 24)) >>> 0;
}

/** The address that a FIB record asked for, as text. */
export function addressOfRecord(r: StepRecord): string | undefined {
  const addr = ipv4OfRecord(r);
  if (addr !== undefined) return formatIpv4(addr);
  const ip = decodeFrame(r.frame).levels.at(-1)?.ip;
  return r.b === 3 ? ip?.src : ip?.dst;
}

/** The table entry with that fib_info whose prefix holds the packet's destination, longest prefix first. */
function aliasOf(ns: Netns, info: FibInfo, r: StepRecord): FibAlias | undefined {
  const addr = ipv4OfRecord(r);
  let best: FibAlias | undefined;
  if (addr !== undefined) {
    const key = bswap32(addr);
    for (const t of ns.fib.tables.values()) {
      for (const plen of t.lens) {
        if (best !== undefined && plen <= best.plen) break;
        const fa = t.leaf(key & MASK[plen]!, plen).find((x) => x.info === info);
        if (fa !== undefined) best = fa;
      }
    }
  }
  if (best !== undefined) return best;
  for (const t of ns.fib.tables.values()) {
    const fa = t.routes().find((x) => x.info === info);
    if (fa !== undefined) return fa;
  }
  return undefined;
}

const STATES: readonly (readonly [number, string])[] = [
  [1, "INCOMPLETE"],
  [2, "REACHABLE"],
  [4, "STALE"],
  [8, "DELAY"],
  [16, "PROBE"],
  [32, "FAILED"],
  [64, "NOARP"],
  [128, "PERMANENT"],
];

/** A neighbour as `ip neigh` prints it. */
export function neighText(ref: object | null): string {
  if (!(ref instanceof Neighbour)) return "";
  const state = STATES.find(([bit]) => (ref.state & bit) !== 0)?.[1] ?? "NONE";
  const addr = ref.ip6 === null ? formatIpv4(ref.ip) : formatIpv6(ref.ip6);
  const known = (ref.state & (2 | 4 | 8 | 16 | 128)) !== 0;
  return `${addr} dev ${ref.dev.name}${known ? ` lladdr ${formatMac(ref.ha)}` : ""} ${state}`;
}
