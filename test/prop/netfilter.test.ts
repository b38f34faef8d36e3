// Netfilter under random rules, sets, flows and broken frames: what must hold whatever comes.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Prng } from "../../src/base/prng.js";
import { craftIpv4 } from "../../src/conformance/kernel_traffic.js";
import { ipvsState } from "../../src/kernel/ipvs/ip_vs.js";
import { ipvsadm } from "../../src/kernel/ipvs/ipvsadm.js";
import { nfState } from "../../src/kernel/netfilter/hooks.js";
import { iptablesRestore, iptablesSave } from "../../src/kernel/netfilter/iptables.js";
import { NfTuple, nf_ct_invert_tuple } from "../../src/kernel/netfilter/nf_conntrack.js";
import { conntrackList } from "../../src/kernel/netfilter/nf_conntrack_text.js";
import { nfSysctlSet } from "../../src/kernel/netfilter/sysctl.js";
import { xtNet } from "../../src/kernel/netfilter/xtables.js";
import * as fc from "../support/fast_check.js";
import { RouterLab } from "../support/netfilter_lab.js";

const N = Number(process.env.PODPATH_FRAMES ?? 6000);

// ---- rule texts ----

const octet = fc.integer({ min: 0, max: 255 });
const net = fc
  .tuple(octet, octet, octet, octet, fc.integer({ min: 0, max: 32 }))
  .map(([a, b, c, d, len]) => `${a}.${b}.${c}.${d}/${len}`);
const ip = fc.tuple(octet, octet, octet, octet).map((o) => o.join("."));
const not = fc.boolean().map((b) => (b ? "! " : ""));
const port = fc.integer({ min: 0, max: 65_535 });
const ports = fc
  .tuple(port, port, fc.boolean())
  .map(([a, b, one]) => (one ? `${a}` : `${Math.min(a, b)}:${Math.max(a, b)}`));
const hex = fc.integer({ min: 0, max: 0xffffffff }).map((n) => `0x${n.toString(16)}`);
const subset = (...of: readonly string[]) => fc.subarray([...of], { minLength: 1 }).map((x) => x.join(","));

const match = fc.oneof(
  fc.tuple(not, net).map(([n, a]) => `${n}-s ${a}`),
  fc
    .tuple(not, fc.constantFrom("eth0", "cali+", "lxc12", "+"))
    .map(([n, d]) => (d === "+" ? `-i ${d}` : `${n}-i ${d}`)),
  fc.tuple(not, hex, hex).map(([n, a, b]) => `-m mark ${n}--mark ${a}/${b}`),
  fc.tuple(not, hex, hex).map(([n, a, b]) => `-m connmark ${n}--mark ${a}/${b}`),
  fc
    .tuple(not, subset("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT"))
    .map(([n, s]) => `-m conntrack ${n}--ctstate ${s}`),
  fc
    .tuple(not, subset("NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"))
    .map(([n, s]) => `-m conntrack ${n}--ctstatus ${s}`),
  fc.tuple(not, net).map(([n, a]) => `-m conntrack ${n}--ctorigdst ${a}`),
  fc
    .tuple(not, subset("UNICAST", "LOCAL", "BROADCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE"))
    .map(([n, s]) => `-m addrtype ${n}--dst-type ${s}`),
  fc
    .string({ unit: "grapheme-ascii", minLength: 1, maxLength: 40 })
    .map((s) => `-m comment --comment "${s.replace(/["\\]/g, (c) => `\\${c}`)}"`),
  fc
    .integer({ min: 1, max: 9 })
    .chain((every) =>
      fc
        .integer({ min: 0, max: every - 1 })
        .map((p) => `-m statistic --mode nth --every ${every}${p > 0 ? ` --packet ${p}` : ""}`),
    ),
  fc
    .double({ min: 0, max: 1, noNaN: true })
    .map((p) => `-m statistic --mode random --probability ${p.toFixed(11)}`),
  fc
    .tuple(
      fc.integer({ min: 1, max: 10_000 }),
      fc.constantFrom("sec", "min", "hour", "day"),
      fc.integer({ min: 1, max: 100 }),
    )
    .map(([n, u, b]) => `-m limit --limit ${n}/${u} --limit-burst ${b}`),
  fc.tuple(port, port).map(([a, b]) => `-m length --length ${Math.min(a, b)}:${Math.max(a, b)}`),
  fc.tuple(not, ip).map(([n, a]) => `-m iprange ${n}--src-range ${a}-${a}`),
);
const l4 = fc.oneof(
  fc
    .tuple(fc.constantFrom("tcp", "udp", "sctp"), not, ports)
    .map(([p, n, x]) => `-p ${p} -m ${p} ${n}--dport ${x}`),
  fc
    .tuple(fc.constantFrom("tcp", "udp"), not, fc.array(ports, { minLength: 1, maxLength: 7 }))
    .map(([p, n, x]) => `-p ${p} -m multiport ${n}--dports ${x.join(",")}`),
  fc.tuple(not, octet, octet).map(([n, t, c]) => `-p icmp -m icmp ${n}--icmp-type ${t}/${c}`),
  fc
    .tuple(not, subset("FIN", "SYN", "RST", "PSH", "ACK", "URG"), subset("FIN", "SYN", "RST"))
    .map(([n, m, c]) => `-p tcp -m tcp ${n}--tcp-flags ${m} ${c}`),
  fc.tuple(not, octet).map(([n, p]) => (p === 0 ? "" : `${n}-p ${p}`)),
  fc.constant(""),
);
const target = fc.oneof(
  fc.constantFrom(
    "",
    "-j ACCEPT",
    "-j DROP",
    "-j RETURN",
    "-j USER",
    "-g USER",
    "-j REJECT --reject-with icmp-host-prohibited",
  ),
  fc.tuple(hex, hex).map(([a, b]) => `-j MARK --set-xmark ${a}/${b}`),
  fc.tuple(hex, hex).map(([a, b]) => `-j CONNMARK --save-mark --nfmask ${a} --ctmask ${b}`),
  fc.integer({ min: 0, max: 7 }).map((l) => `-j LOG --log-prefix "p: " --log-level ${l}`),
  fc.integer({ min: 1, max: 65_535 }).map((g) => `-j NFLOG --nflog-group ${g}`),
);
const rule = fc
  .tuple(fc.constantFrom("INPUT", "FORWARD", "USER"), l4, fc.array(match, { maxLength: 3 }), target)
  .map(([chain, p, m, t]) => ["-A", chain, p, ...new Set(m), t].filter((x) => x !== "").join(" "))
  // Options of the IP header may be given once; an interface is no match of OUTPUT chains, which are not here.
  .filter((r) => (r.match(/ -s /g) ?? []).length < 2 && (r.match(/ -i /g) ?? []).length < 2)
  .filter((r) => !/-A USER .*-[jg] USER/.test(r));

function saved(text: string): string {
  const l = new RouterLab();
  iptablesRestore(l.node, text);
  return iptablesSave(l.node);
}

describe("rules", () => {
  it("come back from iptables-save as they were restored", () => {
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 12 }), (rules) => {
        const once = saved(`*filter\n:USER - [0:0]\n${rules.join("\n")}\nCOMMIT\n`);
        expect(saved(once)).toBe(once);
        expect(once.split("\n").filter((x) => x.startsWith("-A"))).toHaveLength(rules.length);
      }),
      { numRuns: 300, seed: 11 },
    );
  });

  it("of any text are loaded or refused with a line, never anything else", () => {
    const words =
      '-A -I -N -P -X -F INPUT FORWARD -p tcp udp -m conntrack --ctstate NEW -j DROP ACCEPT ! -s 10.0.0.0/8 --dport 80 : , 0x1/0 " -g -d *filter COMMIT :A [0:0] #'.split(
        " ",
      );
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 6 })), { maxLength: 30 }),
        (w) => {
          const l = new RouterLab();
          try {
            iptablesRestore(l.node, `*filter\n${w.join(" ")}\nCOMMIT\n`, { file: "r" });
          } catch (e) {
            expect(String(e)).toMatch(/r:\d|line \d/);
          }
        },
      ),
      { numRuns: 400, seed: 12 },
    );
  });
});

// ---- tuples ----

describe("tuples", () => {
  it("inverted twice are themselves", () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer(),
        port,
        port,
        fc.constantFrom(1, 6, 17, 47, 132, 4),
        (src, dst, sport, dport, proto) => {
          const t = new NfTuple();
          Object.assign(t, { src: src | 0, dst: dst | 0, sport, dport, proto });
          const i = new NfTuple();
          if (!nf_ct_invert_tuple(i, t)) {
            expect(proto).toBe(1);
            return;
          }
          const b = new NfTuple();
          expect(nf_ct_invert_tuple(b, i)).toBe(true);
          expect(b.equals(t)).toBe(true);
        },
      ),
      { seed: 13 },
    );
  });
});

// ---- sets ----

const toInt = (a: string): number => a.split(".").reduce((n, o) => n * 256 + Number(o), 0);

describe("hash:net", () => {
  it("answers with the longest prefix, nomatch or not, as a list looked through does", () => {
    const member = fc
      .tuple(
        fc.integer({ min: 0, max: 15 }),
        fc.integer({ min: 0, max: 255 }),
        fc.integer({ min: 1, max: 32 }),
        fc.boolean(),
      )
      .map(([c, d, len, no]) => ({ addr: `10.4.${c}.${d}`, len, no }));
    fc.assert(
      fc.property(
        fc.array(member, { maxLength: 30 }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 17 }), octet), { minLength: 1, maxLength: 20 }),
        (members, asked) => {
          const l = new RouterLab("");
          const nf = nfState(l.node);
          const sets = xtNet(l.node).sets;
          expect(nf).toBe(l.node.nf);
          const s = sets.create("s", "hash:net");
          const model = new Map<string, { base: number; len: number; no: boolean }>();
          for (const m of members) {
            const size = 2 ** (32 - m.len);
            const base = Math.floor(toInt(m.addr) / size) * size;
            if (model.has(`${base}/${m.len}`)) continue;
            model.set(`${base}/${m.len}`, { base, len: m.len, no: m.no });
            s.add(`${m.addr}/${m.len}${m.no ? " nomatch" : ""}`);
          }
          iptablesRestore(l.node, "*filter\n-A FORWARD -m set ! --match-set s src -j DROP\nCOMMIT\n", {
            noflush: true,
          });
          for (const [c, d] of asked) {
            const a = `10.4.${c}.${d}`;
            let best: { len: number; no: boolean } | null = null;
            for (const m of model.values())
              if (
                toInt(a) >= m.base &&
                toInt(a) < m.base + 2 ** (32 - m.len) &&
                (best === null || m.len > best.len)
              )
                best = m;
            const got = l.udp(l.a, a, 1, "10.0.1.2", 9).length === 1;
            expect({ a, in: got }).toEqual({ a, in: best !== null && !best.no });
          }
        },
      ),
      { numRuns: 60, seed: 14 },
    );
  });
});

// ---- NAT ----

function sum(b: Uint8Array, from: number, to: number, start: number): number {
  let s = start;
  for (let i = from; i < to; i++) s += (i - from) % 2 === 0 ? b[i]! << 8 : b[i]!;
  while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
  return s;
}

/** The checksums of an Ethernet frame with an unfragmented IPv4 packet are right. */
function sound(f: Uint8Array): boolean {
  const len = (f[16]! << 8) | f[17]!;
  if (sum(f, 14, 34, 0) !== 0xffff) return false;
  const proto = f[23]!;
  if (proto === 1) return sum(f, 34, 14 + len, 0) === 0xffff;
  return sum(f, 34, 14 + len, sum(f, 26, 34, 0) + proto + (len - 20)) === 0xffff;
}

const flow = fc.record({
  proto: fc.constantFrom("udp", "tcp", "icmp"),
  src: fc.integer({ min: 1, max: 6 }).map((n) => `10.4.0.${n}`),
  sport: fc.constantFrom(80, 700, 1500, 40_000, 40_001),
  dst: fc.constantFrom("10.0.1.2", "10.5.0.9", "10.96.0.10"),
  dport: fc.constantFrom(53, 80),
});

describe("NAT", () => {
  it.each([
    ["MASQUERADE", ""],
    ["MASQUERADE --random-fully", ""],
    ["SNAT --to-source 10.0.1.1:5000-5100", "-p udp"],
    ["SNAT --to-source 10.0.1.7-10.0.1.9", ""],
  ])("%s gives every flow its own reply tuple; its replies come back to it", (how, proto) => {
    fc.assert(
      fc.property(
        fc.uniqueArray(flow, { minLength: 1, maxLength: 25, selector: (f) => JSON.stringify(f) }),
        (flows) => {
          const l = new RouterLab(
            `*nat\n-A PREROUTING -d 10.96.0.10/32 -p udp -j DNAT --to-destination 10.5.0.9\n-A PREROUTING -d 10.96.0.10/32 -p tcp -j DNAT --to-destination 10.5.0.9\n-A PREROUTING -d 10.96.0.10/32 -p icmp -j DNAT --to-destination 10.5.0.9\n-A POSTROUTING -o b ${proto} -j ${how}\nCOMMIT\n`,
          );
          const seen = new Set<string>();
          const pings = new Set<string>();
          for (const f of flows) {
            if (f.proto === "icmp") {
              const id = `${f.src} ${f.dst} ${f.sport}`;
              if (pings.has(id)) continue;
              pings.add(id);
            }
            let out: string[];
            if (f.proto === "udp") out = l.udp(l.a, f.src, f.sport, f.dst, f.dport);
            else if (f.proto === "tcp") out = l.tcp(l.a, f.src, f.sport, f.dst, f.dport, "S");
            else out = l.ping(l.a, f.src, f.dst, f.sport);
            expect(out).toHaveLength(1);
            const o = l.frames[0]!;
            expect(sound(o)).toBe(true);
            const dot = (at: number) => [...o.slice(at, at + 4)].join(".");
            const word = (at: number) => (o[at]! << 8) | o[at + 1]!;
            const icmp = f.proto === "icmp";
            const tuple = icmp
              ? { src: dot(26), dst: dot(30), sport: word(38), dport: 0 }
              : { src: dot(26), dst: dot(30), sport: word(34), dport: word(36) };
            const key = `${f.proto} ${JSON.stringify(tuple)}`;
            expect(seen.has(key), key).toBe(false);
            seen.add(key);
            let back: string[];
            if (f.proto === "udp") back = l.udp(l.b, tuple.dst, tuple.dport, tuple.src, tuple.sport);
            else if (f.proto === "tcp")
              back = l.tcp(l.b, tuple.dst, tuple.dport, tuple.src, tuple.sport, "SA", 1, 1001);
            else back = l.ping(l.b, tuple.dst, tuple.src, tuple.sport, true);
            expect(back).toHaveLength(1);
            expect(sound(l.frames[0]!)).toBe(true);
            expect(back[0]).toContain(
              icmp
                ? `IP ${f.dst} > ${f.src}: ICMP echo reply, id ${f.sport},`
                : `IP ${f.dst}.${f.dport} > ${f.src}.${f.sport}:`,
            );
          }
        },
      ),
      { numRuns: 40, seed: 15 },
    );
  });
});

// ---- broken frames through everything ----

const RULES = readFileSync(new URL("../fixture/netfilter/options.rules", import.meta.url), "utf8");
const MORE = `*raw
-A PREROUTING -j TRACE
COMMIT
*nat
-A PREROUTING -d 10.96.0.10/32 -p tcp -j DNAT --to-destination 10.5.0.9:80
-A PREROUTING -d 10.96.0.10/32 -p udp -j DNAT --to-destination 10.5.0.9
-A PREROUTING -d 10.96.0.11/32 -j REDIRECT
-A POSTROUTING -o b -j MASQUERADE
COMMIT
*filter
-A FORWARD -p tcp -m tcp --dport 81 -j REJECT --reject-with tcp-reset
-A FORWARD -p udp -m udp --dport 99 -j REJECT
-A FORWARD -m conntrack --ctstate INVALID -j LOG
-A FORWARD -m conntrack --ctstate INVALID -j DROP
COMMIT
`;
const ADDRS = [
  "10.0.0.2",
  "10.0.1.2",
  "10.0.0.1",
  "10.0.9.9",
  "10.5.0.9",
  "10.5.0.1",
  "10.96.0.10",
  "10.96.0.11",
  "10.0.1.1",
  "127.0.0.1",
  "224.0.0.1",
  "255.255.255.255",
  "0.0.0.0",
  "10.4.0.3",
  "8.8.8.8",
];

function frame(r: Prng): Uint8Array {
  const pick = <T>(a: readonly T[]): T => a[r.below(a.length)]!;
  const l4 = pick([
    { kind: "udp", sport: r.below(9), dport: pick([53, 99, 9]), len: r.below(1600) },
    { kind: "icmp", type: pick([0, 3, 4, 5, 8, 11, 12, 13, 17, 30]), code: r.below(6), len: r.below(100) },
    {
      kind: "tcp",
      sport: 1 + r.below(5),
      dport: pick([80, 81, 443]),
      flags: pick(["S", "SA", "A", "PA", "FA", "R", "RA", "", "SF"]),
      len: r.below(300),
      seqno: r.below(1000),
      ackno: r.below(1000),
    },
  ] as const);
  const f: Record<string, unknown> = {
    src: pick(ADDRS),
    dst: pick(ADDRS),
    ttl: r.below(6) === 0 ? r.below(3) : 64,
    id: r.below(8),
    df: r.below(2) === 0,
    mf: r.below(8) === 0,
    frag: r.below(8) === 0 ? r.below(200) : 0,
    l4,
  };
  if (r.below(5) === 0) {
    // Something quoted in an ICMP error, or nonsense of another protocol.
    const inner = craftIpv4({ src: pick(ADDRS), dst: pick(ADDRS), l4 });
    const error = new Uint8Array(8 + Math.min(inner.length, r.below(80)));
    error.set([pick([3, 11, 12, 5, 4]), r.below(5)]);
    error.set(inner.subarray(0, error.length - 8), 8);
    const c = ~sum(error, 0, error.length, 0) & 0xffff;
    error.set([c >> 8, c & 255], 2);
    f.proto = pick([1, 1, 1, 47, 132, 4, 50, 255]);
    f.payload_hex = Buffer.from(error).toString("hex");
  }
  const l3 = craftIpv4(f);
  let out = new Uint8Array(14 + l3.length);
  out.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
  out.set(l3, 14);
  const harm = r.below(8);
  if (harm === 0) out = out.slice(0, r.below(out.length + 1));
  else if (harm === 1)
    for (let i = r.below(4); i >= 0; i--) out[14 + r.below(out.length - 14)] = r.below(256);
  return out;
}

describe("random frames through a full rule set", () => {
  it.each([
    [1, "its own", ""],
    [2, "its own", ""],
    [3, "every option's", RULES],
    [4, "every option's but raw's", RULES.slice(RULES.indexOf("*mangle"))],
  ])(
    "throw nothing, free every packet once and leave a consistent table (seed %i, %s rules)",
    (seed, _, rules) => {
      const l = new RouterLab();
      xtNet(l.node).sets.create("S1", "hash:ip timeout 0");
      xtNet(l.node).sets.create("S2", "hash:ip,port");
      iptablesRestore(l.node, rules, { noflush: true });
      iptablesRestore(l.node, MORE, { noflush: true });
      nfSysctlSet(l.node, "net/ipv4/vs/conntrack", 1);
      for (const c of [
        "-A -t 10.0.9.9:80 -s rr",
        "-a -t 10.0.9.9:80 -r 10.5.0.9:80 -m",
        "-A -u 10.0.9.9:53 -s sh -p 5",
        "-a -u 10.0.9.9:53 -r 10.5.0.1:53 -m",
        "-a -u 10.0.9.9:53 -r 10.0.9.9:54 -m",
        "-A -t 10.0.9.9:443 -s wrr",
      ])
        expect(ipvsadm(l.node, c.split(" "))).toEqual({ rc: 0, out: "" });
      const ct = l.node.nf!.ct!;
      ct.sysctl.max = 500;
      const r = new Prng(seed);
      for (let i = 0; i < N / 4; i++) {
        const f = frame(r);
        const dev = i % 2 === 0 ? l.a : l.b;
        if (dev === l.b && f.length >= 6) f[4] = 1;
        l.inject(dev, f);
        if (i % 64 === 0) l.wait(r.below(4) * 0.05);
        if (i % 500 === 0) {
          const all = [...ct.entries()];
          expect(all.length).toBeLessThanOrEqual(ct.count);
          expect(ct.count).toBeLessThanOrEqual(500);
          for (const c of all) {
            expect(ct.find(c.orig, c.orig.zone)?.ct).toBe(c);
            expect(ct.find(c.reply, c.reply.zone)?.ct).toBe(c);
          }
        }
      }
      // The rules in raw of the fixture track nothing that comes in.
      if (!rules.includes("*raw")) {
        expect(ct.count).toBeGreaterThan(20);
        expect(conntrackList(ct).out.split("\n").length).toBeGreaterThan(20);
        expect(ipvsState(l.node.nf!).conns.count).toBeGreaterThan(rules === "" ? 0 : -1);
      }
      l.wait(500_000);
      expect({ ct: ct.count, ipvs: ipvsState(l.node.nf!).conns.count }).toEqual({ ct: 0, ipvs: 0 });
      const w = l.kernel.world;
      expect({ double: w.doubleFrees, pending: w.pending, depth: w.depth, out: w.outstanding }).toEqual({
        double: 0,
        pending: 0,
        depth: 0,
        out: 0,
      });
    },
  );
});
