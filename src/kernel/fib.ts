// IPv4 routing tables: fib_trie.c (longest prefix), fib_semantics.c (routes and next hops), fib_rules.c (policy),
// fib_frontend.c (reverse path check).
//
// Differs from the kernel: a table is one hash of prefixes per prefix length instead of a trie, and the local table
// is always asked before main (a kernel without rules merges the two into one trie, which differs only for a main
// route inside a local prefix).

import { EACCES, EAGAIN, EEXIST, EHOSTUNREACH, EINVAL, ENETUNREACH, ENODEV } from "../base/errno.js";
import { bswap32 } from "../net/view.js";
import { IFF_UP, type InAddr, type NetDevice } from "./device.js";
import type { Netns } from "./netns.js";
import type { Rtable } from "./route.js";

export const RTN_UNSPEC = 0;
export const RTN_UNICAST = 1;
export const RTN_LOCAL = 2;
export const RTN_BROADCAST = 3;
export const RTN_ANYCAST = 4;
export const RTN_MULTICAST = 5;
export const RTN_BLACKHOLE = 6;
export const RTN_UNREACHABLE = 7;
export const RTN_PROHIBIT = 8;
export const RTN_THROW = 9;

export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_SITE = 200;
export const RT_SCOPE_LINK = 253;
export const RT_SCOPE_HOST = 254;
export const RT_SCOPE_NOWHERE = 255;

export const RT_TABLE_DEFAULT = 253;
export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;

export const RTNH_F_DEAD = 1;
export const RTNH_F_ONLINK = 4;
export const RTNH_F_LINKDOWN = 16;

export const RTPROT_KERNEL = 2;
export const RTPROT_BOOT = 3;

export const FIB_LOOKUP_IGNORE_LINKSTATE = 2;

/** fib_props[].error by route type. */
const FIB_ERROR: readonly number[] = [
  -EINVAL,
  0,
  0,
  0,
  0,
  0,
  -EINVAL,
  -EHOSTUNREACH,
  -EACCES,
  -EAGAIN,
  -EINVAL,
  -EINVAL,
];

/** Masks of host-order addresses by prefix length, signed int32. */
export const MASK: Int32Array = (() => {
  const m = new Int32Array(33);
  for (let i = 1; i <= 32; i++) m[i] = -1 << (32 - i);
  return m;
})();

/** struct flowi4. Addresses are Be32. */
export class Flowi4 {
  oif = 0;
  iif = 0;
  mark = 0;
  tos = 0;
  scope = RT_SCOPE_UNIVERSE;
  proto = 0;
  saddr = 0;
  daddr = 0;
  sport = 0;
  dport = 0;
  flags = 0;
  /** Flow hash for multipath; 0 = from the addresses. */
  mpHash = 0;

  clear(): void {
    this.oif = 0;
    this.iif = 0;
    this.mark = 0;
    this.tos = 0;
    this.scope = RT_SCOPE_UNIVERSE;
    this.proto = 0;
    this.saddr = 0;
    this.daddr = 0;
    this.sport = 0;
    this.dport = 0;
    this.flags = 0;
    this.mpHash = 0;
  }
}

/** struct fib_nh_exception: what is known about one destination behind a next hop. */
export class FibException {
  pmtu = 0;
  mtuLocked = false;
  /** Gateway learned from a redirect, Be32; 0 = none. */
  gw = 0;
  expiresNs = 0;
  rthInput: Rtable | null = null;
  rthOutput: Rtable | null = null;
}

/** struct fib_nh. */
export class FibNh {
  dev: NetDevice | null = null;
  /** Be32; 0 = directly connected. */
  gw = 0;
  /** nhc_scope. */
  scope = RT_SCOPE_NOWHERE;
  flags = 0;
  weight = 1;
  /** Last hash value (31 bits) that chooses this hop. */
  upperBound = 0;
  saddr = 0;
  saddrGenid = -1;
  rthInput: Rtable | null = null;
  rthOutput: Rtable | null = null;
  /** By destination, Be32. */
  exceptions: Map<number, FibException> | null = null;

  constructor(readonly fi: FibInfo) {}
}

/** struct fib_info. */
export class FibInfo {
  scope = RT_SCOPE_UNIVERSE;
  protocol = RTPROT_BOOT;
  type = RTN_UNICAST;
  prefsrc = 0;
  priority = 0;
  mtu = 0;
  mtuLocked = false;
  advmss = 0;
  dead = false;
  readonly nhs: FibNh[] = [];
}

/** struct fib_alias: a route as the table holds it. */
export class FibAlias {
  constructor(
    /** Host order. */
    readonly prefix: number,
    readonly plen: number,
    readonly tos: number,
    readonly type: number,
    readonly table: number,
    readonly info: FibInfo,
  ) {}
}

/** struct fib_result. */
export class FibResult {
  type = RTN_UNSPEC;
  scope = 0;
  prefixlen = 0;
  table = 0;
  fa: FibAlias | null = null;
  fi: FibInfo | null = null;
  nh: FibNh | null = null;
}

/** Destinations that a table remembers: direct mapped, a power of two. */
const REMEMBERED = 64;
const REMEMBERED_SHIFT = 26;

/** What `selectAlias` says when no route of the leaf fits; no errno. */
const NO_ALIAS = 1;

export class FibTable {
  /** Prefix lengths in use, longest first. */
  lens: number[] = [];
  readonly #byLen: (Map<number, FibAlias[]> | null)[] = new Array(33).fill(null);
  /**
   * Destinations looked up before (host order), with 1 + the place in `lens` of the longest prefix that covers them (one
   * behind the last for none, 0 = nothing remembered), and that prefix's routes. Forgotten when a prefix comes or goes.
   */
  readonly #keys = new Int32Array(REMEMBERED);
  readonly #places = new Uint8Array(REMEMBERED);
  readonly #leaves: (FibAlias[] | null)[] = new Array(REMEMBERED).fill(null);

  constructor(readonly id: number) {}

  /** fib_table_lookup: 0, or a negative errno; -EAGAIN = nothing here. */
  lookup(f: Flowi4, res: FibResult, fibFlags: number): number {
    const key = bswap32(f.daddr);
    const at = Math.imul(key, 0x9e3779b1) >>> REMEMBERED_SHIFT;
    let place = this.#places[at]!;
    if (place === 0 || this.#keys[at] !== key) place = this.#remember(at, key);
    const lens = this.lens;
    if (place > lens.length) return -EAGAIN;
    const r = selectAlias(this.#leaves[at]!, lens[place - 1]!, this.id, f, res, fibFlags);
    if (r !== NO_ALIAS) return r;
    for (let i = place; i < lens.length; i++) {
      const plen = lens[i]!;
      const leaf = this.#byLen[plen]!.get(key & MASK[plen]!);
      if (leaf === undefined) continue;
      const ret = selectAlias(leaf, plen, this.id, f, res, fibFlags);
      if (ret !== NO_ALIAS) return ret;
    }
    return -EAGAIN;
  }

  #remember(at: number, key: number): number {
    const lens = this.lens;
    let leaf: FibAlias[] | undefined;
    let i = 0;
    for (; i < lens.length; i++) {
      const plen = lens[i]!;
      leaf = this.#byLen[plen]!.get(key & MASK[plen]!);
      if (leaf !== undefined) break;
    }
    this.#keys[at] = key;
    this.#places[at] = i + 1;
    this.#leaves[at] = leaf ?? null;
    return i + 1;
  }

  #forget(): void {
    this.#places.fill(0);
    this.#leaves.fill(null);
  }

  /** Adds behind routes of equal TOS and metric order. False when an equal one (prefix, TOS, metric) exists. */
  insert(fa: FibAlias, mode: "exclusive" | "append" | "prepend" | "replace"): boolean {
    let m = this.#byLen[fa.plen]!;
    if (m === null) {
      m = new Map();
      this.#byLen[fa.plen] = m;
      this.lens.push(fa.plen);
      this.lens.sort((a, b) => b - a);
    }
    let leaf = m.get(fa.prefix);
    if (leaf === undefined) {
      leaf = [];
      m.set(fa.prefix, leaf);
      this.#forget();
    }
    const same = (x: FibAlias): boolean => x.tos === fa.tos && x.info.priority === fa.info.priority;
    const at = leaf.findIndex(same);
    if (at >= 0 && mode === "exclusive") return false;
    if (at >= 0 && mode === "replace") {
      leaf[at] = fa;
      return true;
    }
    let i = 0;
    while (
      i < leaf.length &&
      (leaf[i]!.tos > fa.tos ||
        (leaf[i]!.tos === fa.tos &&
          (leaf[i]!.info.priority < fa.info.priority ||
            (mode !== "prepend" && leaf[i]!.info.priority === fa.info.priority))))
    )
      i++;
    leaf.splice(i, 0, fa);
    return true;
  }

  /** Aliases of one prefix, in order; empty when there is none. */
  leaf(prefix: number, plen: number): readonly FibAlias[] {
    return this.#byLen[plen]?.get(prefix) ?? [];
  }

  remove(fa: FibAlias): void {
    const m = this.#byLen[fa.plen];
    const leaf = m?.get(fa.prefix);
    if (m == null || leaf === undefined) return;
    const at = leaf.indexOf(fa);
    if (at >= 0) leaf.splice(at, 1);
    if (leaf.length > 0) return;
    m.delete(fa.prefix);
    this.#forget();
    if (m.size === 0) {
      this.#byLen[fa.plen] = null;
      this.lens = this.lens.filter((l) => l !== fa.plen);
    }
  }

  /** All routes as the tools list them: by prefix, the longest first where several begin alike (a leaf of the trie). */
  routes(): FibAlias[] {
    const out: FibAlias[] = [];
    for (const m of this.#byLen) if (m !== null) for (const leaf of m.values()) out.push(...leaf);
    // Stable, so that the order inside a leaf stays.
    return out.sort((a, b) => (a.prefix >>> 0) - (b.prefix >>> 0) || b.plen - a.plen);
  }
}

/** The first route of a leaf that fits: 0 or its errno with `res` filled in, NO_ALIAS when none does. */
function selectAlias(
  leaf: readonly FibAlias[],
  plen: number,
  table: number,
  f: Flowi4,
  res: FibResult,
  fibFlags: number,
): number {
  for (let j = 0; j < leaf.length; j++) {
    const fa = leaf[j]!;
    const fi = fa.info;
    if ((fa.tos !== 0 && fa.tos !== f.tos) || fi.dead || fi.scope < f.scope) continue;
    const err = FIB_ERROR[fa.type]!;
    if (err < 0) {
      res.fa = fa;
      res.fi = fi;
      res.nh = null;
      res.type = fa.type;
      res.table = table;
      res.prefixlen = plen;
      return err;
    }
    const nhs = fi.nhs;
    for (let n = 0; n < nhs.length; n++) {
      const nh = nhs[n]!;
      if ((nh.flags & RTNH_F_DEAD) !== 0) continue;
      const dev = nh.dev!;
      if (
        (nh.flags & RTNH_F_LINKDOWN) !== 0 &&
        (fibFlags & FIB_LOOKUP_IGNORE_LINKSTATE) === 0 &&
        dev.conf.ignore_routes_with_linkdown !== 0
      )
        continue;
      if (f.oif !== 0 && f.oif !== dev.ifindex) continue;
      res.fa = fa;
      res.fi = fi;
      res.nh = nh;
      res.type = fa.type;
      res.scope = fi.scope;
      res.prefixlen = plen;
      res.table = table;
      return 0;
    }
  }
  return NO_ALIAS;
}

export type RuleAction = "table" | "blackhole" | "unreachable" | "prohibit" | "nop";

/** struct fib4_rule. Addresses in host order. */
export interface FibRule {
  readonly pref: number;
  readonly action: RuleAction;
  readonly table: number;
  readonly src: number;
  readonly srcLen: number;
  readonly dst: number;
  readonly dstLen: number;
  /** Names; "" = any. `lo` as iif means packets made here. */
  readonly iif: string;
  readonly oif: string;
  readonly fwmark: number;
  readonly fwmask: number;
  readonly tos: number;
  readonly ipproto: number;
  readonly invert: boolean;
  /** suppress_prefixlength; -1 = none. */
  readonly suppressPrefixLen: number;
}

export function fibRule(r: Partial<FibRule> & { pref: number }): FibRule {
  return {
    action: "table",
    table: RT_TABLE_MAIN,
    src: 0,
    srcLen: 0,
    dst: 0,
    dstLen: 0,
    iif: "",
    oif: "",
    fwmark: 0,
    fwmask: 0,
    tos: 0,
    ipproto: 0,
    invert: false,
    suppressPrefixLen: -1,
    ...r,
  };
}

/** What `ip route add` asks for. Addresses are Be32, the prefix in host order. */
export interface RouteSpec {
  readonly prefix: number;
  readonly plen: number;
  readonly type?: number;
  readonly table?: number;
  readonly tos?: number;
  readonly scope?: number;
  readonly protocol?: number;
  readonly prefsrc?: number;
  readonly metric?: number;
  readonly mtu?: number;
  readonly mtuLock?: boolean;
  readonly advmss?: number;
  readonly nexthops: readonly NexthopSpec[];
}

export interface NexthopSpec {
  readonly dev?: NetDevice | null;
  readonly gw?: number;
  readonly onlink?: boolean;
  readonly weight?: number;
}

/** Why a request was refused: errno, and the kernel's own words when it has some (extack). */
export interface RtError {
  readonly errno: number;
  readonly msg: string;
}

const rtErr = (errno: number, msg = ""): RtError => ({ errno, msg });

/** The routing state of a namespace. */
export class Fib {
  readonly tables = new Map<number, FibTable>();
  readonly local: FibTable;
  readonly main: FibTable;
  readonly default: FibTable;
  rules: FibRule[];
  /** fib4_has_custom_rules. */
  customRules = false;
  /** A rule looks at protocol or ports. */
  rulesNeedL4 = false;
  /** net.ipv4.fib_has_custom_local_routes. */
  customLocalRoutes = false;
  /** net->ipv4.dev_addr_genid. */
  addrGenid = 0;
  /** All local addresses with the number of devices that have them (inet_lookup_ifaddr_rcu), Be32. */
  readonly localAddrs = new Map<number, NetDevice>();
  readonly #f = new Flowi4();
  readonly #res = new FibResult();

  constructor(readonly ns: Netns) {
    this.local = this.table(RT_TABLE_LOCAL);
    this.main = this.table(RT_TABLE_MAIN);
    this.default = this.table(RT_TABLE_DEFAULT);
    this.rules = [
      fibRule({ pref: 0, table: RT_TABLE_LOCAL }),
      fibRule({ pref: 32766, table: RT_TABLE_MAIN }),
      fibRule({ pref: 32767, table: RT_TABLE_DEFAULT }),
    ];
  }

  table(id: number): FibTable {
    let t = this.tables.get(id);
    if (t === undefined) {
      t = new FibTable(id);
      this.tables.set(id, t);
    }
    return t;
  }

  /** fib_lookup: 0 or a negative errno (-ENETUNREACH when nothing matches). */
  lookup(f: Flowi4, res: FibResult, fibFlags: number): number {
    if (!this.customRules) {
      let err = this.local.lookup(f, res, fibFlags);
      if (err !== -EAGAIN) return err;
      err = this.main.lookup(f, res, fibFlags);
      if (err !== -EAGAIN) return err;
      err = this.default.lookup(f, res, fibFlags);
      return err === -EAGAIN ? -ENETUNREACH : err;
    }
    const rules = this.rules;
    for (let i = 0; i < rules.length; i++) {
      const r = rules[i]!;
      if (this.#matches(r, f) === r.invert) continue;
      switch (r.action) {
        case "blackhole":
          return -EINVAL;
        case "unreachable":
          return -ENETUNREACH;
        case "prohibit":
          return -EACCES;
        case "nop":
          continue;
        default: {
          const t = this.tables.get(r.table);
          if (t === undefined) continue;
          const err = t.lookup(f, res, fibFlags);
          if (err === -EAGAIN) continue;
          if (err === 0 && r.suppressPrefixLen >= 0 && res.prefixlen <= r.suppressPrefixLen) continue;
          return err;
        }
      }
    }
    return -ENETUNREACH;
  }

  #matches(r: FibRule, f: Flowi4): boolean {
    if (r.iif !== "" && this.ns.dev(f.iif === 0 ? 1 : f.iif)?.name !== r.iif) return false;
    if (r.oif !== "" && this.ns.dev(f.oif)?.name !== r.oif) return false;
    if (((r.fwmark ^ f.mark) & r.fwmask) !== 0) return false;
    if (r.srcLen !== 0 && ((bswap32(f.saddr) ^ r.src) & MASK[r.srcLen]!) !== 0) return false;
    if (r.dstLen !== 0 && ((bswap32(f.daddr) ^ r.dst) & MASK[r.dstLen]!) !== 0) return false;
    if (r.tos !== 0 && r.tos !== f.tos) return false;
    if (r.ipproto !== 0 && r.ipproto !== f.proto) return false;
    return true;
  }

  /** fib_nl_newrule. A rule without table and action looks up main. */
  addRule(r: FibRule): RtError | null {
    const equal = (x: FibRule): boolean => JSON.stringify(x) === JSON.stringify(r);
    if (this.rules.some(equal)) return rtErr(EEXIST);
    let i = this.rules.length;
    while (i > 0 && this.rules[i - 1]!.pref > r.pref) i--;
    this.rules.splice(i, 0, r);
    this.#rulesChanged();
    return null;
  }

  /** fib_nl_delrule: the first rule for which `match` holds. */
  removeRule(match: (r: FibRule) => boolean): RtError | null {
    const at = this.rules.findIndex(match);
    if (at < 0) return rtErr(2);
    this.rules.splice(at, 1);
    this.#rulesChanged();
    return null;
  }

  #rulesChanged(): void {
    this.customRules = true;
    this.rulesNeedL4 = this.rules.some((r) => r.ipproto !== 0);
    this.ns.rtGenid++;
  }

  /** True if `addr` (Be32) is an address of this namespace. */
  isLocalAddr(addr: number): boolean {
    if (this.localAddrs.has(addr)) return true;
    const f = this.#f;
    f.clear();
    f.daddr = addr;
    return this.local.lookup(f, this.#res, 0) === 0 && this.#res.type === RTN_LOCAL;
  }

  /** inet_addr_type_table: RTN_* of an address according to one table. */
  addrType(addr: number, table: FibTable = this.local): number {
    const h = bswap32(addr);
    if (addr === 0 || addr === -1) return RTN_BROADCAST;
    if ((h & 0xf0000000) === (0xe0000000 | 0)) return RTN_MULTICAST;
    const f = this.#f;
    f.clear();
    f.daddr = addr;
    return table.lookup(f, this.#res, 0) === 0 ? this.#res.type : RTN_UNICAST;
  }

  /** The device by which packets to `addr` leave, or null. */
  outputDev(addr: number): NetDevice | null {
    const f = this.#f;
    f.clear();
    f.daddr = addr;
    f.iif = 1;
    return this.lookup(f, this.#res, 0) === 0 && this.#res.nh !== null ? this.#res.nh.dev : null;
  }

  /** inet_addr_type_dev_table: the same over all tables, as rules say. */
  addrTypeAny(addr: number): number {
    return this.addrType(addr);
  }

  /** fib_table_insert with fib_create_info. `mode` as ip route add, append, prepend, replace. */
  addRoute(
    s: RouteSpec,
    mode: "exclusive" | "append" | "prepend" | "replace" | "change" = "exclusive",
  ): RtError | null {
    const type = s.type ?? RTN_UNICAST;
    const tableId = s.table ?? RT_TABLE_MAIN;
    if (s.plen < 32 && (s.prefix & ~MASK[s.plen]!) !== 0)
      return rtErr(EINVAL, "Invalid prefix for given prefix length");
    const fi = new FibInfo();
    fi.type = type;
    fi.scope = s.scope ?? RT_SCOPE_UNIVERSE;
    fi.protocol = s.protocol ?? RTPROT_BOOT;
    fi.prefsrc = s.prefsrc ?? 0;
    fi.priority = s.metric ?? 0;
    fi.mtu = s.mtu ?? 0;
    fi.mtuLocked = s.mtuLock ?? false;
    fi.advmss = s.advmss ?? 0;
    if (FIB_ERROR[type]! === 0) {
      if (s.nexthops.length === 0) return rtErr(ENODEV, "");
      for (const spec of s.nexthops) {
        const nh = new FibNh(fi);
        nh.weight = spec.weight ?? 1;
        nh.gw = spec.gw ?? 0;
        nh.dev = spec.dev ?? null;
        if (spec.onlink === true) nh.flags |= RTNH_F_ONLINK;
        fi.nhs.push(nh);
      }
      if (fi.scope === RT_SCOPE_HOST) {
        const nh = fi.nhs[0]!;
        if (fi.nhs.length !== 1) return rtErr(EINVAL, "Route with host scope can not have multiple nexthops");
        if (nh.gw !== 0) return rtErr(EINVAL, "Route with host scope can not have a gateway");
        nh.scope = RT_SCOPE_NOWHERE;
        if (nh.dev === null) return rtErr(ENODEV, "Device for nexthop is missing");
      } else {
        for (const nh of fi.nhs) {
          const e = this.#checkNh(nh, fi.scope, tableId);
          if (e !== null) return e;
        }
      }
    } else if (s.nexthops.some((n) => n.gw !== undefined && n.gw !== 0))
      return rtErr(EINVAL, "Routes of this type can not have a gateway");
    if (fi.prefsrc !== 0) {
      const ok =
        type === RTN_LOCAL && fi.prefsrc === bswap32(s.prefix)
          ? true
          : this.addrType(fi.prefsrc) === RTN_LOCAL;
      if (!ok) return rtErr(EINVAL, "Invalid prefsrc address");
    }
    this.#rebalance(fi);
    const fa = new FibAlias(s.prefix, s.plen, s.tos ?? 0, type, tableId, fi);
    const t = this.table(tableId);
    if (
      mode === "change" &&
      !t.leaf(s.prefix, s.plen).some((x) => x.tos === fa.tos && x.info.priority === fi.priority)
    )
      return rtErr(2);
    if (!t.insert(fa, mode === "change" ? "replace" : mode)) return rtErr(EEXIST);
    if (tableId === RT_TABLE_LOCAL && type === RTN_LOCAL && s.protocol !== RTPROT_KERNEL)
      this.customLocalRoutes = true;
    this.ns.rtGenid++;
    return null;
  }

  /** fib_check_nh. */
  #checkNh(nh: FibNh, scope: number, tableId: number): RtError | null {
    if (nh.gw === 0) {
      if ((nh.flags & RTNH_F_ONLINK) !== 0)
        return rtErr(EINVAL, "Invalid flags for nexthop - PERVASIVE and ONLINK can not be set");
      if (nh.dev === null) return rtErr(ENODEV, "");
      if ((nh.dev.flags & IFF_UP) === 0) return rtErr(100, "Device for nexthop is not up");
      nh.scope = RT_SCOPE_HOST;
      if (!nh.dev.carrier) nh.flags |= RTNH_F_LINKDOWN;
      return null;
    }
    if ((nh.flags & RTNH_F_ONLINK) !== 0) {
      if (scope >= RT_SCOPE_LINK) return rtErr(EINVAL, "Nexthop has invalid scope");
      if (nh.dev === null) return rtErr(ENODEV, "Nexthop device required for onlink");
      if ((nh.dev.flags & IFF_UP) === 0) return rtErr(100, "Nexthop device is down");
      if (this.addrType(nh.gw) !== RTN_UNICAST) return rtErr(EINVAL, "Nexthop has invalid gateway");
      if (!nh.dev.carrier) nh.flags |= RTNH_F_LINKDOWN;
      nh.scope = RT_SCOPE_LINK;
      return null;
    }
    const f = this.#f;
    const res = this.#res;
    f.clear();
    f.daddr = nh.gw;
    f.scope = Math.max(scope + 1, RT_SCOPE_LINK);
    f.oif = nh.dev?.ifindex ?? 0;
    f.iif = 1;
    let err = -EAGAIN;
    const own = this.tables.get(tableId);
    if (own !== undefined && own !== this.local && own !== this.main)
      err = own.lookup(f, res, FIB_LOOKUP_IGNORE_LINKSTATE);
    if (err !== 0) err = this.lookup(f, res, FIB_LOOKUP_IGNORE_LINKSTATE);
    if (err !== 0) return rtErr(-err, "Nexthop has invalid gateway");
    if (res.type !== RTN_UNICAST && res.type !== RTN_LOCAL)
      return rtErr(EINVAL, "Nexthop has invalid gateway");
    nh.scope = res.scope;
    nh.dev = res.nh!.dev;
    if (nh.dev === null) return rtErr(ENODEV, "No egress device for nexthop gateway");
    if ((nh.dev.flags & IFF_UP) === 0) return rtErr(100, "Nexthop device is not up");
    if (!nh.dev.carrier) nh.flags |= RTNH_F_LINKDOWN;
    return null;
  }

  /** fib_rebalance. */
  #rebalance(fi: FibInfo): void {
    if (fi.nhs.length < 2) return;
    let total = 0;
    for (const nh of fi.nhs) if ((nh.flags & RTNH_F_DEAD) === 0) total += nh.weight;
    let w = 0;
    for (const nh of fi.nhs) {
      if ((nh.flags & RTNH_F_DEAD) !== 0) {
        nh.upperBound = -1;
        continue;
      }
      w += nh.weight;
      nh.upperBound = Math.round((w * 0x8000_0000) / total) - 1;
    }
  }

  /** fib_table_delete: the first route that matches what is given. */
  removeRoute(m: {
    prefix: number;
    plen: number;
    table?: number;
    type?: number;
    scope?: number;
    protocol?: number;
    metric?: number;
    tos?: number;
    prefsrc?: number;
    dev?: NetDevice | null;
    gw?: number;
  }): RtError | null {
    const t = this.tables.get(m.table ?? RT_TABLE_MAIN);
    const fa = t?.leaf(m.prefix, m.plen).find((x) => {
      const fi = x.info;
      const nh = fi.nhs[0];
      return (
        x.tos === (m.tos ?? 0) &&
        (m.type === undefined || x.type === m.type) &&
        (m.scope === undefined || m.scope === RT_SCOPE_NOWHERE || fi.scope === m.scope) &&
        (m.protocol === undefined || fi.protocol === m.protocol) &&
        (m.metric === undefined || fi.priority === m.metric) &&
        (m.prefsrc === undefined || fi.prefsrc === m.prefsrc) &&
        (m.dev === undefined || m.dev === null || nh?.dev === m.dev) &&
        (m.gw === undefined || nh?.gw === m.gw)
      );
    });
    if (t === undefined || fa === undefined) return rtErr(3);
    t.remove(fa);
    this.ns.rtGenid++;
    return null;
  }

  /** fib_add_ifaddr: the routes that an address brings. */
  addIfAddr(dev: NetDevice, a: InAddr): void {
    this.addrGenid++;
    this.ns.rtGenid++;
    if (!this.localAddrs.has(a.local)) this.localAddrs.set(a.local, dev);
    const add = (
      prefix: number,
      plen: number,
      type: number,
      scope: number,
      prefsrc: number,
      metric: number,
    ): void => {
      this.addRoute(
        {
          prefix,
          plen,
          type,
          table: type === RTN_UNICAST ? RT_TABLE_MAIN : RT_TABLE_LOCAL,
          scope,
          protocol: RTPROT_KERNEL,
          prefsrc,
          metric,
          nexthops: [{ dev }],
        },
        "append",
      );
    };
    const host = bswap32(a.local);
    add(host, 32, RTN_LOCAL, RT_SCOPE_HOST, a.local, 0);
    if ((dev.flags & IFF_UP) === 0) return;
    const mask = MASK[a.prefixLen]!;
    const prefix = bswap32(a.address) & mask;
    if (a.broadcast !== 0 && a.broadcast !== -1)
      add(bswap32(a.broadcast), 32, RTN_BROADCAST, RT_SCOPE_LINK, a.local, 0);
    if (prefix !== 0 && !a.secondary && (prefix !== host || a.prefixLen < 32)) {
      const lo = (dev.flags & 8) !== 0;
      const type = lo ? RTN_LOCAL : RTN_UNICAST;
      add(prefix, a.prefixLen, type, lo ? RT_SCOPE_HOST : RT_SCOPE_LINK, a.local, lo ? 0 : a.metric);
      if (a.prefixLen < 31) add(prefix | ~mask, 32, RTN_BROADCAST, RT_SCOPE_LINK, a.local, 0);
    }
  }

  /** fib_del_ifaddr: routes of the address go, and those that use it as source. */
  delIfAddr(dev: NetDevice, a: InAddr): void {
    this.addrGenid++;
    this.ns.rtGenid++;
    if (this.localAddrs.get(a.local) === dev) {
      this.localAddrs.delete(a.local);
      for (const d of this.ns.devOrder) {
        if (d.addrs.some((x) => x.local === a.local)) {
          this.localAddrs.set(a.local, d);
          break;
        }
      }
    }
    const still = this.localAddrs.has(a.local);
    for (const t of this.tables.values()) {
      for (const fa of t.routes()) {
        const own = fa.info.nhs[0]?.dev === dev;
        const localEntry = t === this.local && own && fa.type === RTN_LOCAL && fa.prefix === bswap32(a.local);
        if (localEntry || (fa.info.prefsrc === a.local && (own || !still))) {
          if (localEntry && dev.addrs.some((x) => x.local === a.local)) continue;
          t.remove(fa);
        }
      }
    }
  }

  /** fib_sync_down_dev: routes through a device that went down (or was removed) vanish. */
  syncDownDev(dev: NetDevice): void {
    this.ns.rtGenid++;
    for (const t of this.tables.values()) {
      for (const fa of t.routes()) {
        const nhs = fa.info.nhs;
        if (!nhs.some((n) => n.dev === dev)) continue;
        // Local entries stay while the address does: a device that is down still owns it.
        if (t === this.local && fa.type === RTN_LOCAL && this.ns.dev(dev.ifindex) === dev) continue;
        for (const n of nhs) if (n.dev === dev) n.flags |= RTNH_F_DEAD;
        if (nhs.every((n) => (n.flags & RTNH_F_DEAD) !== 0)) t.remove(fa);
        else this.#rebalance(fa.info);
      }
    }
  }

  /** fib_sync_up for an address list: the device came up. */
  syncUpDev(dev: NetDevice): void {
    this.ns.rtGenid++;
    for (const a of dev.addrs) {
      // The local entry may be there already; an equal route is refused.
      const host = bswap32(a.local);
      const has = this.local.leaf(host, 32).some((x) => x.type === RTN_LOCAL && x.info.nhs[0]?.dev === dev);
      if (has) {
        const t = this.local.leaf(host, 32).find((x) => x.type === RTN_LOCAL && x.info.nhs[0]?.dev === dev);
        if (t !== undefined) this.local.remove(t);
      }
      this.addIfAddr(dev, a);
    }
  }

  /** Carrier of a device changed: RTNH_F_LINKDOWN. */
  carrierChanged(dev: NetDevice): void {
    this.ns.rtGenid++;
    for (const t of this.tables.values())
      for (const fa of t.routes())
        for (const n of fa.info.nhs)
          if (n.dev === dev) n.flags = dev.carrier ? n.flags & ~RTNH_F_LINKDOWN : n.flags | RTNH_F_LINKDOWN;
  }
}
