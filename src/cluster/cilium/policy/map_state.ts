// The policy map of one endpoint while it is being made (pkg/policy/mapstate.go): entries go in one by one, and the map
// is kept such that the longest-prefix match of the datapath never finds a narrow entry where a broader one of higher
// precedence ought to decide.
//
//   key:        identity (0 = any) · direction · protocol (0 = any) · block of ports
//   covers:     same direction, broader or equal protocol and ports, same identity or identity 0
//   precedence: 0xFFFFFF00 | low byte; 255 deny, 255 - listener priority for redirects, 1 plain allow

import { blockCovers, type PortBlock } from "./ports.js";
import type { Direction, RuleOrigin } from "./rules.js";

/** Precedence of a plain allow of priority 0. */
export const PRECEDENCE_ALLOW = 0xffffff01;
/** Precedence of a deny of priority 0, the highest there is. */
export const PRECEDENCE_DENY = 0xffffffff;

/** Authentication types (pkg/policy/types AuthType). */
export const AUTH_TYPE_DISABLED = 0;
export const AUTH_TYPE_SPIRE = 1;
export const AUTH_TYPE_ALWAYS_FAIL = 2;

/** Precedence of a redirect whose listener has this priority (1 the highest, 126 the lowest; 0 = plain allow). */
export function redirectPrecedence(priority: number): number {
  if (priority === 0) return PRECEDENCE_ALLOW;
  return (0xffffffff - Math.min(priority, 126)) >>> 0;
}

/** What must match: the agent's view, in which a block that begins at port 0 can be narrow. */
export interface PolicyKey {
  readonly identity: number;
  readonly direction: Direction;
  readonly protocol: number;
  readonly port: number;
  /** Bits of the port that count, 0..16. */
  readonly portPrefixLen: number;
}

/** What is decided. */
export interface PolicyValue {
  readonly deny: boolean;
  /** 0 = none. */
  readonly proxyPort: number;
  readonly precedence: number;
  readonly authType: number;
  /** The rule names the authentication mode itself; otherwise it is derived from a broader entry. */
  readonly authExplicit: boolean;
}

/** An entry, and the rules that it comes from. */
export interface MapStateEntry {
  readonly key: PolicyKey;
  readonly value: PolicyValue;
  readonly origins: readonly RuleOrigin[];
}

/** What the rules of one direction contain; decides how much is pruned. */
export interface PolicyFeatures {
  readonly deny: boolean;
  readonly redirect: boolean;
  readonly auth: boolean;
}

export function sameValue(a: PolicyValue, b: PolicyValue): boolean {
  return (
    a.deny === b.deny &&
    a.proxyPort === b.proxyPort &&
    a.precedence === b.precedence &&
    a.authType === b.authType &&
    a.authExplicit === b.authExplicit
  );
}

interface Mutable {
  key: PolicyKey;
  value: PolicyValue;
  origins: readonly RuleOrigin[];
}

/**
 * The map. Entries are filed by identity, because only those of the same identity and of identity 0 bear on one
 * another.
 */
export class MapState {
  readonly #byIdentity = new Map<number, Map<string, Mutable>>();

  get size(): number {
    let n = 0;
    for (const m of this.#byIdentity.values()) n += m.size;
    return n;
  }

  /** All entries: ingress first, then by identity, protocol, port and prefix. */
  entries(): MapStateEntry[] {
    const out: MapStateEntry[] = [];
    for (const m of this.#byIdentity.values()) out.push(...m.values());
    return out.sort((a, b) => compareKeys(a.key, b.key));
  }

  /** Inserts one entry by the rules of its kind. */
  insert(key: PolicyKey, value: PolicyValue, origins: readonly RuleOrigin[], features: PolicyFeatures): void {
    if (value.deny) {
      if (this.#isCovered(key, value)) return;
      this.#pruneCovered(key, value);
    } else if (features.auth) {
      // A deny for everybody inserted later would delete the entry, so the outcome must not depend on the order.
      if (!this.#isDeniedForAll(key)) this.#insertWithAuth(key, value, origins);
      return;
    } else if (features.deny || features.redirect) {
      // With nothing but plain allows in a direction, redundant entries do no harm and are left in.
      if (this.#isCovered(key, value)) return;
      this.#pruneCovered(key, value);
    }
    this.#put(key, value, origins);
  }

  /** Covered by an entry of higher precedence, or a deny by another deny. */
  #isCovered(key: PolicyKey, value: PolicyValue): boolean {
    for (const e of this.#related(key.identity === 0 ? [0] : [key.identity, 0])) {
      if (e.value.precedence < value.precedence || !covers(e.key, key)) continue;
      if (e.value.precedence > value.precedence) return true;
      if (value.deny && !sameKey(e.key, key)) return true;
    }
    return false;
  }

  #isDeniedForAll(key: PolicyKey): boolean {
    for (const e of this.#related([0])) if (e.value.deny && covers(e.key, key)) return true;
    return false;
  }

  /** Deletes what the new entry covers and outranks. */
  #pruneCovered(key: PolicyKey, value: PolicyValue): void {
    const ids = key.identity === 0 ? [...this.#byIdentity.keys()] : [key.identity];
    for (const id of ids) {
      const m = this.#byIdentity.get(id);
      if (m === undefined) continue;
      for (const [k, e] of m) {
        if (!covers(key, e.key)) continue;
        const outranked = e.value.precedence < value.precedence;
        if (outranked || (value.deny && e.value.deny && !sameKey(key, e.key))) m.delete(k);
      }
    }
  }

  /**
   * With authentication in use a covered entry that names a mode must stay (it changes who is let in), and takes over
   * proxy port and precedence instead; modes flow down to entries that name none. Only entries of the same identity are
   * looked at: between an identity and "any" the datapath decides.
   */
  #insertWithAuth(key: PolicyKey, given: PolicyValue, origins: readonly RuleOrigin[]): void {
    const m = this.#byIdentity.get(key.identity);
    let value = given;
    if (m !== undefined) {
      const covering = [...m.values()]
        .filter((e) => covers(e.key, key))
        .sort((a, b) => l4PrefixLen(b.key) - l4PrefixLen(a.key));
      let derived = false;
      for (const e of covering) {
        if (e.value.precedence > value.precedence) {
          if (e.value.deny || !given.authExplicit) return;
          value = { ...value, proxyPort: e.value.proxyPort, precedence: e.value.precedence };
          break;
        }
        if (!derived && !given.authExplicit && e.value.authExplicit && !sameKey(e.key, key)) {
          value = { ...value, authType: e.value.authType, authExplicit: false };
          derived = true;
        }
      }

      const covered = [...m.entries()]
        .filter(([, e]) => covers(key, e.key))
        .sort(([, a], [, b]) => l4PrefixLen(a.key) - l4PrefixLen(b.key) || compareKeys(a.key, b.key));
      let stopped = false;
      for (const [k, e] of covered) {
        if (e.value.precedence < value.precedence) {
          if (!e.value.authExplicit) {
            m.delete(k);
            continue;
          }
          e.value = { ...e.value, proxyPort: value.proxyPort, precedence: value.precedence };
        }
        if (stopped || !given.authExplicit || sameKey(e.key, key)) continue;
        if (e.value.deny || e.value.authExplicit) stopped = true;
        else if (e.value.authType !== value.authType) {
          e.value = { ...e.value, authType: value.authType, authExplicit: false };
        }
      }
    }
    this.#put(key, value, origins);
  }

  #put(key: PolicyKey, value: PolicyValue, origins: readonly RuleOrigin[]): void {
    let m = this.#byIdentity.get(key.identity);
    if (m === undefined) {
      m = new Map();
      this.#byIdentity.set(key.identity, m);
    }
    const id = keyText(key);
    const old = m.get(id);
    if (old === undefined) m.set(id, { key, value, origins });
    else if (value.deny && !old.value.deny) m.set(id, { key, value, origins });
    else if (!value.deny && old.value.deny) return;
    else {
      old.origins = [...new Set([...old.origins, ...origins])];
      if (!value.deny) old.value = mergeAllows(old.value, value);
    }
  }

  *#related(ids: readonly number[]): Iterable<Mutable> {
    for (const id of ids) {
      const m = this.#byIdentity.get(id);
      if (m !== undefined) yield* m.values();
    }
  }
}

/** Two allows of one key: the higher precedence brings its proxy port, an explicit mode beats a derived one. */
function mergeAllows(a: PolicyValue, b: PolicyValue): PolicyValue {
  let { proxyPort, precedence, authType, authExplicit } = a;
  if (b.precedence > precedence) {
    precedence = b.precedence;
    proxyPort = b.proxyPort;
  } else if (b.precedence === precedence && b.proxyPort !== 0 && b.proxyPort < proxyPort) {
    proxyPort = b.proxyPort;
  }
  if (b.authExplicit === authExplicit) authType = Math.max(authType, b.authType);
  else if (b.authExplicit) {
    authType = b.authType;
    authExplicit = true;
  }
  return { deny: false, proxyPort, precedence, authType, authExplicit };
}

/** Whether `outer` matches everything that `inner` matches. */
export function covers(outer: PolicyKey, inner: PolicyKey): boolean {
  return (
    outer.direction === inner.direction &&
    (outer.identity === 0 || outer.identity === inner.identity) &&
    (outer.protocol === 0 || (outer.protocol === inner.protocol && blockCovers(block(outer), block(inner))))
  );
}

/** Bits of protocol and port that count: 0 any, 8 protocol, 9..24 ports. */
export function l4PrefixLen(k: PolicyKey): number {
  return k.protocol === 0 ? 0 : 8 + k.portPrefixLen;
}

function block(k: PolicyKey): PortBlock {
  return { port: k.port, prefixLen: k.portPrefixLen };
}

function sameKey(a: PolicyKey, b: PolicyKey): boolean {
  return (
    a.identity === b.identity &&
    a.direction === b.direction &&
    a.protocol === b.protocol &&
    a.port === b.port &&
    a.portPrefixLen === b.portPrefixLen
  );
}

function keyText(k: PolicyKey): string {
  return `${k.direction[0]}${k.protocol}:${k.port}/${k.portPrefixLen}`;
}

export function compareKeys(a: PolicyKey, b: PolicyKey): number {
  return (
    Number(a.direction === "egress") - Number(b.direction === "egress") ||
    a.identity - b.identity ||
    a.protocol - b.protocol ||
    a.port - b.port ||
    a.portPrefixLen - b.portPrefixLen
  );
}
