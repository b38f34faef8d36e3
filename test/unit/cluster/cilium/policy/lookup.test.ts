// The datapath's look-up over compiled entries, and the bytes they have in the map.

import { describe, expect, it } from "vitest";
import { LpmTrie } from "../../../../../maps/lpm_trie.js";
import { policySpec } from "../../../../../maps/policy.js";
import {
  asWritten,
  entryFromBytes,
  keyBytes,
  lookupPolicy,
  type PolicyProbe,
  valueBytes,
  writePolicy,
} from "../../../../../src/cluster/cilium/policy/lookup.js";
import {
  type MapStateEntry,
  PRECEDENCE_ALLOW,
  PRECEDENCE_DENY,
  redirectPrecedence,
} from "../../../../../src/cluster/cilium/policy/map_state.js";
import { toHex } from "../../../../../src/net/view.js";

interface Spec {
  readonly id?: number;
  readonly egress?: boolean;
  readonly proto?: number;
  /** Port and prefix length. */
  readonly port?: readonly [number, number];
  readonly deny?: boolean;
  readonly proxy?: number;
  readonly priority?: number;
  readonly auth?: number;
  readonly explicit?: boolean;
}

function entry(s: Spec): MapStateEntry {
  const [port, portPrefixLen] = s.port ?? [0, 0];
  return {
    key: {
      identity: s.id ?? 0,
      direction: s.egress === true ? "egress" : "ingress",
      protocol: s.proto ?? 0,
      port,
      portPrefixLen,
    },
    value: {
      deny: s.deny === true,
      proxyPort: s.proxy ?? 0,
      precedence: s.deny === true ? PRECEDENCE_DENY : redirectPrecedence(s.priority ?? 0),
      authType: s.auth ?? 0,
      authExplicit: s.explicit === true,
    },
    origins: [],
  };
}

const PROBE: PolicyProbe = { direction: "ingress", identity: 300, protocol: 6, port: 80 };

/** Verdict in one line: what, the number of the entry that decided, match type, proxy port, authentication. */
function ask(entries: readonly MapStateEntry[], probe: Partial<PolicyProbe> = {}): string {
  const v = lookupPolicy(entries, { ...PROBE, ...probe });
  const who = v.entry === undefined ? "none" : String(entries.indexOf(v.entry));
  return `${v.verdict} by ${who}, match ${v.matchType}, proxy ${v.proxyPort}, auth ${v.authType}`;
}

describe("lookupPolicy", () => {
  it("denies when nothing matches", () => {
    const entries = [
      entry({ id: 301 }),
      entry({ id: 300, egress: true }),
      entry({ id: 300, proto: 17 }),
      entry({ id: 300, proto: 6, port: [81, 16] }),
    ];
    expect([ask([]), ask(entries)]).toEqual([
      "denied by none, match 0, proxy 0, auth 0",
      "denied by none, match 0, proxy 0, auth 0",
    ]);
  });

  it("tells by the match type what the deciding entry names", () => {
    const types = [
      entry({ id: 300 }),
      entry({ id: 300, proto: 6, port: [80, 16] }),
      entry({ proto: 6, port: [80, 12] }),
      entry({}),
      entry({ id: 300, proto: 6 }),
      entry({ proto: 6 }),
    ].map((e) => ask([e]));
    expect(types).toEqual([1, 2, 3, 4, 5, 6].map((n) => `allowed by 0, match ${n}, proxy 0, auth 0`));
  });

  it("takes the longest match within an identity, whatever the precedences", () => {
    const entries = [
      entry({ id: 300, deny: true }),
      entry({ id: 300, proto: 6 }),
      entry({ id: 300, proto: 6, port: [80, 12] }),
      entry({ id: 300, proto: 6, port: [80, 16], proxy: 10080, priority: 100 }),
    ];
    expect([
      ask(entries),
      ask(entries, { port: 81 }),
      ask(entries, { port: 8080 }),
      ask(entries, { protocol: 17 }),
    ]).toEqual([
      "redirect by 3, match 2, proxy 10080, auth 0",
      "allowed by 2, match 2, proxy 0, auth 0",
      "allowed by 1, match 5, proxy 0, auth 0",
      "denied by 0, match 1, proxy 0, auth 0",
    ]);
  });

  it("lets precedence decide between an identity and anybody, then the longer match, then the identity", () => {
    const own = entry({ id: 300, proto: 6 });
    expect([
      ask([own, entry({ deny: true })]),
      ask([entry({ id: 300, deny: true }), entry({ proto: 6, port: [80, 16], deny: true })]),
      ask([own, entry({ proto: 6, port: [80, 16] })]),
      ask([own, entry({ proto: 6 })]),
      ask([own, entry({ proto: 6, proxy: 10080, priority: 100 })]),
      ask([entry({ id: 300, proxy: 1, priority: 1 }), entry({ proxy: 2, priority: 2 })]),
    ]).toEqual([
      "denied by 1, match 4, proxy 0, auth 0",
      "denied by 0, match 1, proxy 0, auth 0",
      "allowed by 1, match 3, proxy 0, auth 0",
      "allowed by 0, match 5, proxy 0, auth 0",
      "redirect by 1, match 6, proxy 10080, auth 0",
      "redirect by 0, match 1, proxy 1, auth 0",
    ]);
  });

  it("asks for the stronger authentication of the two when neither the entry nor the precedence decides", () => {
    const plain = entry({ id: 300, proto: 6 });
    expect([
      ask([plain, entry({ auth: 1 })]),
      ask([plain, entry({ auth: 1, explicit: true })]),
      ask([entry({ id: 300, proto: 6, auth: 0, explicit: true }), entry({ auth: 2, explicit: true })]),
      ask([entry({ id: 300, proto: 6, proxy: 7, priority: 5 }), entry({ auth: 2, explicit: true })]),
      ask([entry({ id: 300, auth: 2, explicit: true })]),
      ask([entry({ id: 300, auth: 2, explicit: true }), entry({ deny: true })]),
    ]).toEqual([
      "allowed by 0, match 5, proxy 0, auth 1",
      "allowed by 0, match 5, proxy 0, auth 1",
      "allowed by 0, match 5, proxy 0, auth 0",
      "redirect by 0, match 5, proxy 7, auth 0",
      "allowed by 0, match 1, proxy 0, auth 2",
      "denied by 1, match 4, proxy 0, auth 0",
    ]);
  });

  it("takes ICMP types as ports", () => {
    const echo = [entry({ proto: 1, port: [8, 16] })];
    expect([ask(echo, { protocol: 1, port: 8 }), ask(echo, { protocol: 1, port: 0 })]).toEqual([
      "allowed by 0, match 3, proxy 0, auth 0",
      "denied by none, match 0, proxy 0, auth 0",
    ]);
  });
});

describe("entries as written", () => {
  it("widen a block that begins at port 0 to all ports, as the agent writes it", () => {
    const low = entry({ id: 300, proto: 6, port: [0, 6] });
    expect([ask([low], { port: 1024 }), ask(asWritten([low]), { port: 1024 })]).toEqual([
      "denied by none, match 0, proxy 0, auth 0",
      "allowed by 0, match 5, proxy 0, auth 0",
    ]);
  });

  it("keep the real wildcard where a block beginning at port 0 would fall on it", () => {
    const wildcard = entry({ id: 300, proto: 6, deny: true });
    const low = entry({ id: 300, proto: 6, port: [0, 6] });
    expect(asWritten([wildcard, low])).toEqual([wildcard]);
  });

  it("are sorted by direction, identity, protocol and port", () => {
    const sorted = [
      entry({}),
      entry({ id: 1, proto: 6 }),
      entry({ id: 1, proto: 6, port: [80, 16] }),
      entry({ id: 1, proto: 17 }),
      entry({ egress: true }),
    ];
    expect(asWritten([...sorted].reverse())).toEqual(sorted);
  });
});

describe("bytes of entries", () => {
  it("are those of struct policy_key and policy_entry", () => {
    const entries = [
      entry({}),
      entry({ id: 300, egress: true, proto: 6, port: [80, 16] }),
      entry({ id: 0x01000001, proto: 17, port: [8000, 10], deny: true }),
      entry({ id: 1, proto: 6, port: [0, 6], proxy: 10080, priority: 100, auth: 1, explicit: true }),
    ];
    const bytes = entries.map((e) => [toHex(keyBytes(e.key)), toHex(valueBytes(e.key, e.value))]);
    expect(bytes).toEqual([
      ["280000000000000000000000", "0000000001ffffff00000000"],
      ["400000002c01000001060050", "0000c00001ffffff00000000"],
      ["3a0000000100000100111f40", "00009100ffffffff00000000"],
      ["300000000100000000060000", "276040819bffffff00000000"],
    ]);
  });

  it("are what a map holds that they were written into, whatever it held before", () => {
    const entries = [
      entry({}),
      entry({ id: 300, egress: true, proto: 6, port: [80, 16] }),
      entry({ id: 0x01000001, proto: 17, port: [8000, 10], deny: true }),
      entry({ id: 1, proto: 6, port: [0, 6], proxy: 10080, priority: 100, auth: 1, explicit: true }),
      ...Array.from({ length: 40 }, (_, i) => entry({ id: 1000 + i, proto: 6 })),
    ];
    const map = new LpmTrie(policySpec(1));
    writePolicy(map, [entry({ id: 77 })]);
    writePolicy(map, entries);
    const held: string[][] = [];
    map.forEachSlot((slot) => {
      held.push([toHex(map.keyBytes(slot)), toHex(map.valueBytes(slot))]);
    });
    expect(held).toEqual(
      asWritten(entries).map((e) => [toHex(keyBytes(e.key)), toHex(valueBytes(e.key, e.value))]),
    );
  });

  it("read back to the entry that was written", () => {
    const entries = asWritten([
      entry({ id: 1, proto: 6, port: [0, 6], proxy: 10080, priority: 100, auth: 1, explicit: true }),
      entry({ id: 300, egress: true, proto: 6, port: [80, 16], deny: true }),
      entry({ id: 5, proto: 6 }),
      entry({ id: 5 }),
    ]);
    expect(entries.map((e) => entryFromBytes(keyBytes(e.key), valueBytes(e.key, e.value)))).toEqual(entries);
  });

  it("give a plain allow the lowest precedence of its kind, redirects by priority above it, deny above all", () => {
    expect([0, 126, 127, 100, 1].map((p) => redirectPrecedence(p).toString(16))).toEqual([
      "ffffff01",
      "ffffff81",
      "ffffff81",
      "ffffff9b",
      "fffffffe",
    ]);
    expect([PRECEDENCE_ALLOW, PRECEDENCE_DENY]).toEqual([0xffffff01, 0xffffffff]);
  });
});
