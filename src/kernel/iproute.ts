// The commands of iproute2 that change something, parsed as the tool parses them, with its exit status and texts.
// Only what topologies and labs use; anything else is refused with a sentence that names it.

import { tryParseIpv4 } from "../net/address.js";
import { bswap32 } from "../net/view.js";
import type { NetDevice } from "./device.js";
import {
  type FibRule,
  fibRule,
  MASK,
  type NexthopSpec,
  type RouteSpec,
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
  RTN_MULTICAST,
  RTN_PROHIBIT,
  RTN_THROW,
  RTN_UNICAST,
  RTN_UNREACHABLE,
  type RtError,
} from "./fib.js";
import { ip_tunnel_command } from "./ip_tunnel.js";
import {
  routeGet,
  showAddrs,
  showLinks,
  showNeigh,
  showRoutes,
  showRules,
  showTunnels,
} from "./iproute_show.js";
import { NUD_NOARP, NUD_PERMANENT, NUD_REACHABLE, NUD_STALE } from "./neighbour.js";
import { NetkitDevice } from "./netkit.js";
import type { Netns } from "./netns.js";
import {
  addr_add,
  addr_del,
  link_del,
  link_down,
  link_up,
  neigh_del,
  neigh_set,
  parsePrefix,
} from "./rtnetlink.js";

/** What a command left: exit status and text (standard output and error together). */
export interface CommandResult {
  readonly rc: number;
  readonly out: string;
}

const OK: CommandResult = { rc: 0, out: "" };

const STRERROR: Record<number, string> = {
  1: "Operation not permitted",
  2: "No such file or directory",
  3: "No such process",
  16: "Device or resource busy",
  17: "File exists",
  19: "No such device",
  22: "Invalid argument",
  95: "Operation not supported",
  99: "Cannot assign requested address",
  100: "Network is down",
  101: "Network is unreachable",
  113: "No route to host",
};

/** As iproute2 prints a refusal: the kernel's own words, or the errno's. */
export function rtnetlinkText(e: RtError): string {
  return e.msg !== ""
    ? `Error: ${e.msg}.\n`
    : `RTNETLINK answers: ${STRERROR[e.errno] ?? `Unknown error ${e.errno}`}\n`;
}

const result = (e: RtError | null): CommandResult => (e === null ? OK : { rc: 2, out: rtnetlinkText(e) });
const usage = (text: string): CommandResult => ({ rc: 255, out: `${text}\n` });
const noDev = (name: string): CommandResult => ({ rc: 1, out: `Cannot find device "${name}"\n` });

const TYPES: Record<string, number> = {
  unicast: RTN_UNICAST,
  local: RTN_LOCAL,
  broadcast: RTN_BROADCAST,
  multicast: RTN_MULTICAST,
  blackhole: RTN_BLACKHOLE,
  unreachable: RTN_UNREACHABLE,
  prohibit: RTN_PROHIBIT,
  throw: RTN_THROW,
};
const SCOPES: Record<string, number> = {
  global: RT_SCOPE_UNIVERSE,
  universe: RT_SCOPE_UNIVERSE,
  site: RT_SCOPE_SITE,
  link: RT_SCOPE_LINK,
  host: RT_SCOPE_HOST,
  nowhere: RT_SCOPE_NOWHERE,
};
const TABLES: Record<string, number> = {
  local: RT_TABLE_LOCAL,
  main: RT_TABLE_MAIN,
  default: RT_TABLE_DEFAULT,
};
/** rt_protos of iproute2. */
export const PROTOS: Record<string, number> = {
  redirect: 1,
  kernel: 2,
  boot: 3,
  static: 4,
  gated: 8,
  ra: 9,
  mrt: 10,
  zebra: 11,
  bird: 12,
  dnrouted: 13,
  xorp: 14,
  ntk: 15,
  dhcp: 16,
  keepalived: 18,
  babel: 42,
  bgp: 186,
  isis: 187,
  ospf: 188,
  rip: 189,
  eigrp: 192,
};

const num = (t: string, names: Record<string, number>): number => (t in names ? names[t]! : Number(t) || 0);

const parseNum = (s: string): number =>
  (s.startsWith("0x") ? Number.parseInt(s, 16) : Number.parseInt(s, 10)) | 0;

/** Runs `ip ARGS`. */
export function ip_command(ns: Netns, argv: readonly string[]): CommandResult {
  const a = [...argv];
  let details = false;
  let stats = false;
  while (a.length > 0 && a[0]!.startsWith("-")) {
    const o = a.shift()!;
    if (o === "-d" || o === "-details") details = true;
    else if (o === "-s" || o === "-stats") stats = true;
    else if (o !== "-4" && o !== "-n") return usage(`Option "${o}" is not modelled`);
  }
  const object = a.shift() ?? "";
  const is = (full: string): boolean => object !== "" && full.startsWith(object);
  if (a.length === 0 || "show".startsWith(a[0]!) || a[0] === "list" || a[0] === "ls" || a[0] === "lst") {
    const rest = a.slice(1).filter((w) => w !== "dev");
    const shown = (t: string | null): CommandResult =>
      t === null ? { rc: 1, out: `Device "${rest[0]}" does not exist.\n` } : { rc: 0, out: t };
    if (is("route")) {
      if (rest[0] === "cache") return OK;
      return shown(showRoutes(ns, rest[0] === "table" ? num(rest[1] ?? "main", TABLES) : RT_TABLE_MAIN));
    }
    if (is("address")) return shown(showAddrs(ns, rest[0] ?? null));
    if (is("link")) return shown(showLinks(ns, rest[0] ?? null, { details, stats }));
    if (is("neighbour") || is("neighbor")) return shown(showNeigh(ns, rest[0] ?? null));
    if (is("rule")) return shown(showRules(ns));
    if (is("tunnel")) return shown(showTunnels(ns));
  }
  if (is("route") && a[0] === "get") {
    const r = routeGet(ns, a[1] ?? "");
    return typeof r === "string" ? { rc: 0, out: r } : result({ errno: r, msg: "" });
  }
  if (is("route")) return ip_route(ns, a);
  if (is("address")) return ip_addr(ns, a);
  if (is("link")) return ip_link(ns, a);
  if (is("neighbour") || is("neighbor")) return ip_neigh(ns, a);
  if (is("rule")) return ip_rule(ns, a);
  if (is("tunnel")) return ip_tunnel_command(ns, a);
  return usage(`Object "${object}" is unknown, try "ip help".`);
}

/** `ip route add|append|prepend|replace|change|del|flush ARGS`. */
export function ip_route(ns: Netns, args: readonly string[]): CommandResult {
  const [cmd = "show", ...a] = args;
  if (cmd === "flush") return ip_route_flush(ns, a);
  const modes: Record<string, "exclusive" | "append" | "prepend" | "replace" | "change"> = {
    add: "exclusive",
    append: "append",
    prepend: "prepend",
    replace: "replace",
    change: "change",
    chg: "change",
  };
  const del = cmd === "del" || cmd === "delete";
  if (!del && !(cmd in modes)) return usage(`Command "${cmd}" is unknown, try "ip route help".`);
  let type: number | undefined;
  let dst: { prefix: number; plen: number } | undefined;
  let scope: number | undefined;
  let table: number | undefined;
  let proto: number | undefined;
  let src: number | undefined;
  let metric: number | undefined;
  let mtu: number | undefined;
  let mtuLock = false;
  let advmss: number | undefined;
  let tos = 0;
  const hops: NexthopSpec[] = [];
  let hop: { dev?: NetDevice; gw?: number; onlink?: boolean; weight?: number } = {};
  let anyHop = false;
  let i = 0;
  for (; i < a.length; i++) {
    const w = a[i]!;
    const next = (): string => a[++i] ?? "";
    switch (w) {
      case "to":
        dst = parsePrefix(next());
        break;
      case "via": {
        let t = next();
        if (t === "inet") t = next();
        const g = tryParseIpv4(t);
        if (g === undefined) return { rc: 1, out: `Error: inet address is expected rather than "${t}".\n` };
        hop.gw = g;
        anyHop = true;
        break;
      }
      case "dev":
      case "oif": {
        const t = next();
        const d = ns.devByName(t);
        if (d === null) return noDev(t);
        hop.dev = d;
        anyHop = true;
        break;
      }
      case "onlink":
        hop.onlink = true;
        break;
      case "weight":
        hop.weight = parseNum(next());
        break;
      case "nexthop":
        if (anyHop) hops.push(hop);
        hop = {};
        anyHop = true;
        break;
      case "scope":
        scope = num(next(), SCOPES);
        break;
      case "table":
        table = num(next(), TABLES);
        break;
      case "proto":
      case "protocol":
        proto = num(next(), PROTOS);
        break;
      case "src": {
        const t = tryParseIpv4(next());
        src = t;
        break;
      }
      case "metric":
      case "preference":
      case "priority":
        metric = parseNum(next());
        break;
      case "tos":
      case "dsfield":
        tos = parseNum(next());
        break;
      case "mtu": {
        let t = next();
        if (t === "lock") {
          mtuLock = true;
          t = next();
        }
        mtu = parseNum(t);
        break;
      }
      case "advmss":
        advmss = parseNum(next());
        break;
      default:
        if (w in TYPES && dst === undefined) {
          type = TYPES[w];
          break;
        }
        if (dst !== undefined)
          return { rc: 255, out: `Error: either "to" is duplicate, or "${w}" is a garbage.\n` };
        dst = parsePrefix(w);
    }
  }
  if (anyHop) hops.push(hop);
  if (dst === undefined) return usage('Command line is not complete. Try option "help"');
  const t = table ?? (type === RTN_LOCAL || type === RTN_BROADCAST ? RT_TABLE_LOCAL : RT_TABLE_MAIN);
  if (del) {
    const h = hops[0];
    return result(
      ns.fib.removeRoute({
        ...dst,
        table: t,
        tos,
        ...(type === undefined ? {} : { type }),
        ...(scope === undefined ? {} : { scope }),
        ...(proto === undefined ? {} : { protocol: proto }),
        ...(metric === undefined ? {} : { metric }),
        ...(src === undefined ? {} : { prefsrc: src }),
        ...(h?.dev === undefined ? {} : { dev: h.dev }),
        ...(h?.gw === undefined ? {} : { gw: h.gw }),
      }),
    );
  }
  if (scope === undefined) {
    if (type === RTN_LOCAL) scope = RT_SCOPE_HOST;
    else if (type === RTN_BROADCAST || type === RTN_MULTICAST) scope = RT_SCOPE_LINK;
    else if (
      (type === undefined || type === RTN_UNICAST) &&
      !hops.some((x) => x.gw !== undefined) &&
      hops.length < 2
    )
      scope = RT_SCOPE_LINK;
    else scope = RT_SCOPE_UNIVERSE;
  }
  const spec: RouteSpec = {
    ...dst,
    tos,
    type: type ?? RTN_UNICAST,
    scope,
    table: t,
    nexthops: hops,
    ...(proto === undefined ? {} : { protocol: proto }),
    ...(src === undefined ? {} : { prefsrc: src }),
    ...(metric === undefined ? {} : { metric }),
    ...(mtu === undefined ? {} : { mtu, mtuLock }),
    ...(advmss === undefined ? {} : { advmss }),
  };
  return result(ns.fib.addRoute(spec, modes[cmd]!));
}

/** net.ipv4.route.flush: cached routes go, and with them the path MTUs and redirects that were learned. */
function rt_cache_flush(ns: Netns): CommandResult {
  for (const t of ns.fib.tables.values())
    for (const fa of t.routes()) for (const nh of fa.info.nhs) nh.exceptions = null;
  ns.rtGenid++;
  return OK;
}

function ip_route_flush(ns: Netns, a: readonly string[]): CommandResult {
  let table = RT_TABLE_MAIN;
  let dev: NetDevice | null = null;
  let proto = -1;
  for (let i = 0; i < a.length; i++) {
    if (a[i] === "table") table = num(a[++i] ?? "", TABLES);
    else if (a[i] === "dev") {
      dev = ns.devByName(a[++i] ?? "");
      if (dev === null) return noDev(a[i] ?? "");
    } else if (a[i] === "proto") proto = num(a[++i] ?? "", PROTOS);
    else if (a[i] === "cache") return rt_cache_flush(ns);
    else return usage(`ip route flush: "${a[i]}" is not modelled`);
  }
  const t = ns.fib.tables.get(table);
  for (const fa of t?.routes() ?? []) {
    if (dev !== null && fa.info.nhs[0]?.dev !== dev) continue;
    if (proto >= 0 && fa.info.protocol !== proto) continue;
    t!.remove(fa);
  }
  ns.rtGenid++;
  return OK;
}

/** `ip addr add|del|replace ADDR dev DEV ...`. */
export function ip_addr(ns: Netns, args: readonly string[]): CommandResult {
  const [cmd = "show", ...a] = args;
  let local = "";
  let dev: NetDevice | null = null;
  const o: { scope?: number; broadcast?: number; peer?: number; label?: string; metric?: number } = {};
  let brdPlus = false;
  for (let i = 0; i < a.length; i++) {
    const w = a[i]!;
    const next = (): string => a[++i] ?? "";
    if (w === "dev") {
      const t = next();
      dev = ns.devByName(t);
      if (dev === null) return noDev(t);
    } else if (w === "scope") o.scope = num(next(), SCOPES);
    else if (w === "brd" || w === "broadcast") {
      const t = next();
      if (t === "+") brdPlus = true;
      else o.broadcast = tryParseIpv4(t) ?? 0;
    } else if (w === "peer") o.peer = tryParseIpv4(next().split("/")[0]!) ?? 0;
    else if (w === "label") o.label = next();
    else if (w === "metric") o.metric = parseNum(next());
    else if (w === "local") local = next();
    else local = w;
  }
  if (cmd === "flush") {
    if (dev === null) return usage("Flush requires arguments.");
    for (const x of [...dev.addrs]) addr_del(dev, x.local, x.prefixLen);
    return OK;
  }
  const [ip = "", len] = local.split("/");
  const addr = tryParseIpv4(ip);
  if (addr === undefined)
    return { rc: 1, out: `Error: any valid prefix is expected rather than "${local}".\n` };
  const plen = len === undefined ? 32 : Number.parseInt(len, 10);
  if (dev === null) return usage('Not enough information: "dev" argument is required.');
  if (brdPlus && plen < 31) o.broadcast = bswap32((bswap32(addr) & MASK[plen]!) | ~MASK[plen]!);
  if (cmd === "add") return result(addr_add(dev, addr, plen, o));
  if (cmd === "replace") {
    addr_add(dev, addr, plen, o);
    return OK;
  }
  if (cmd === "del" || cmd === "delete") return result(addr_del(dev, addr, plen));
  return usage(`Command "${cmd}" is unknown, try "ip address help".`);
}

/** `ip link set|del ...`. */
export function ip_link(ns: Netns, args: readonly string[]): CommandResult {
  const [cmd = "show", ...a] = args;
  if (cmd === "del" || cmd === "delete") {
    const name = a[0] === "dev" ? a[1]! : a[0]!;
    const dev = ns.devByName(name);
    if (dev === null) return noDev(name);
    // The fallback tunnel device stays; the request is not refused.
    if (dev.fallback) return OK;
    link_del(dev);
    return OK;
  }
  if (cmd !== "set") return usage(`ip link ${cmd} is not modelled`);
  let name = a[0] ?? "";
  let from = 1;
  if (name === "dev") {
    name = a[1] ?? "";
    from = 2;
  }
  const dev = ns.devByName(name);
  if (dev === null) return noDev(name);
  for (let i = from; i < a.length; i++) {
    const w = a[i]!;
    const next = (): string => a[++i] ?? "";
    if (w === "up") link_up(dev);
    else if (w === "down") link_down(dev);
    else if (w === "mtu") {
      dev.mtu = parseNum(next());
      ns.rtGenid++;
    } else if (w === "address") {
      if (dev instanceof NetkitDevice && dev.mode === "l3")
        return { rc: 2, out: "RTNETLINK answers: Operation not supported\n" };
      dev.setMac(
        Uint8Array.from(
          next()
            .split(":")
            .map((x) => Number.parseInt(x, 16)),
        ),
      );
    } else if (w === "arp") {
      if (next() === "off") dev.flags |= 0x80;
      else dev.flags &= ~0x80;
    } else if (w === "promisc") {
      if (next() === "on") dev.flags |= 0x100;
      else dev.flags &= ~0x100;
    } else if (w === "type") return ip_tunnel_command(ns, ["linkset", name, ...a.slice(i + 1)]);
    else return usage(`ip link set: "${w}" is not modelled`);
  }
  return OK;
}

const NUD: Record<string, number> = {
  permanent: NUD_PERMANENT,
  reachable: NUD_REACHABLE,
  stale: NUD_STALE,
  noarp: NUD_NOARP,
};

/** `ip neigh add|replace|change|del ...`, static proxy entries included. */
export function ip_neigh(ns: Netns, args: readonly string[]): CommandResult {
  const [cmd = "show", ...a] = args;
  let ip = "";
  let dev: NetDevice | null = null;
  let mac: Uint8Array | null = null;
  let nud = NUD_PERMANENT;
  let proxy = false;
  for (let i = 0; i < a.length; i++) {
    const w = a[i]!;
    const next = (): string => a[++i] ?? "";
    if (w === "dev") {
      const t = next();
      dev = ns.devByName(t);
      if (dev === null) return noDev(t);
    } else if (w === "lladdr")
      mac = Uint8Array.from(
        next()
          .split(":")
          .map((x) => Number.parseInt(x, 16)),
      );
    else if (w === "nud") nud = NUD[next()] ?? NUD_PERMANENT;
    else if (w === "proxy") {
      proxy = true;
      ip = next();
    } else ip = w;
  }
  const addr = tryParseIpv4(ip);
  if (dev === null || addr === undefined) return usage("Device and destination are required arguments.");
  if (cmd === "del" || cmd === "delete") {
    if (!proxy) return result(neigh_del(dev, addr));
    return dev.proxyNeigh.delete(addr) ? OK : result({ errno: 2, msg: "" });
  }
  if (proxy) {
    dev.proxyNeigh.add(addr);
    return OK;
  }
  if (cmd === "add" && dev.arp.has(addr) && mac !== null) {
    return result({ errno: 17, msg: "" });
  }
  if (mac === null) return usage("Error: lladdr is required.");
  neigh_set(dev, addr, mac, nud);
  return OK;
}

/** `ip rule add|del ...`. */
export function ip_rule(ns: Netns, args: readonly string[]): CommandResult {
  const [cmd = "show", ...a] = args;
  if (cmd === "flush") {
    while (ns.fib.rules.some((r) => r.pref !== 0)) ns.fib.removeRule((r) => r.pref !== 0);
    return OK;
  }
  const r: { -readonly [K in keyof FibRule]?: FibRule[K] } = {};
  for (let i = 0; i < a.length; i++) {
    const w = a[i]!;
    const next = (): string => a[++i] ?? "";
    switch (w) {
      case "not":
        r.invert = true;
        break;
      case "from": {
        const p = parsePrefix(next());
        r.src = p.prefix;
        r.srcLen = p.plen;
        break;
      }
      case "to": {
        const p = parsePrefix(next());
        r.dst = p.prefix;
        r.dstLen = p.plen;
        break;
      }
      case "pref":
      case "preference":
      case "priority":
      case "order":
        r.pref = parseNum(next());
        break;
      case "fwmark": {
        const [m = "0", k] = next().split("/");
        r.fwmark = parseNum(m);
        r.fwmask = k === undefined ? -1 : parseNum(k);
        break;
      }
      case "iif":
      case "dev":
        r.iif = next();
        break;
      case "oif":
        r.oif = next();
        break;
      case "tos":
      case "dsfield":
        r.tos = parseNum(next());
        break;
      case "ipproto": {
        const t = next();
        r.ipproto = { tcp: 6, udp: 17, icmp: 1 }[t] ?? parseNum(t);
        break;
      }
      case "table":
      case "lookup":
        r.table = num(next(), TABLES);
        break;
      case "suppress_prefixlength":
        r.suppressPrefixLen = parseNum(next());
        break;
      case "proto":
      case "protocol":
        next();
        break;
      case "blackhole":
      case "unreachable":
      case "prohibit":
      case "nop":
        r.action = w;
        break;
      case "type":
        break;
      default:
        return usage(`ip rule: "${w}" is not modelled`);
    }
  }
  if (cmd === "del" || cmd === "delete") {
    return result(
      ns.fib.removeRule((x) => (Object.keys(r) as (keyof FibRule)[]).every((k) => x[k] === r[k])),
    );
  }
  if (cmd !== "add") return usage(`Command "${cmd}" is unknown, try "ip rule help".`);
  // Without a preference the kernel takes one below the first rule that is not 0.
  const second = ns.fib.rules.find((x) => x.pref !== 0);
  const pref = r.pref ?? (second === undefined ? 32765 : second.pref - 1);
  return result(ns.fib.addRule(fibRule({ ...r, pref })));
}
