// The traffic of random labs: pings, datagrams, connections, services and node ports, equal source ports behind one
// masquerading node, fragments made by hand, crafted packets.

import type { TrafficOp } from "../../src/conformance/kernel_traffic.js";
import type { Draw, DrawnService, EndHost } from "./random_lab.js";

const SIZES = [0, 8, 56, 200, 1000, 1372, 1400, 1452, 1472, 2000, 4000];
const PMTU = ["dont", "want", "do", "probe"];

/** Where a service's backends listen, as a step names it. */
export function serversOf(s: DrawnService): unknown {
  const all = (s.backends ?? [s.backend]).map((b) => ({ ns: b.ns, port: s.target }));
  return all.length === 1 ? all[0] : all;
}

/** Four to nine steps. */
export function randomTraffic(d: Draw): TrafficOp[] {
  const t = new TrafficDraw(d);
  const steps = 4 + d.r.below(6);
  for (let i = 0; i < steps; i++) t.step();
  return t.ops;
}

class TrafficDraw {
  readonly ops: TrafficOp[] = [];
  #port: number;

  constructor(readonly d: Draw) {
    this.#port = 20000 + d.r.below(20000);
  }

  #id(): string {
    return `s${this.ops.length}`;
  }

  step(): void {
    const { d } = this;
    if (d.services.length > 0 && d.chance(40)) this.#service();
    else if (d.outside !== null && d.chance(25)) this.#collision(d.outside);
    else this.#plain();
  }

  /** Between pods, nodes and the host outside. */
  #plain(): void {
    const { d } = this;
    const ends = d.outside === null ? d.pods : [...d.pods, d.outside];
    const a = d.pick(ends);
    const others = ends.filter((x) => x !== a);
    const b = d.pick(others.length > 0 ? others : ends);
    const from = a.node >= 0 && d.chance(15) ? `n${a.node + 1}` : a.ns;
    const dst = d.chance(78) ? b.ip : this.#oddAddress(b);
    const kind = d.r.below(7);
    if (kind < 2) this.#ping(from, dst);
    else if (kind < 4) this.#udp(from, dst, b);
    else if (kind === 4) this.#tcp(from, dst, b);
    else if (kind === 5) this.#fragments(a, dst);
    else this.#raw(a, b, dst);
  }

  /** Nobody's address in a pod network, somewhere else, a node. */
  #oddAddress(b: EndHost): string {
    const { d } = this;
    const node = d.pick(d.nodeIps);
    return d.pick([b.node < 0 ? node : `10.${b.node + 1}.0.253`, "203.0.113.9", node]);
  }

  /** From a pod, the host outside or a node itself to a service address or a node port. */
  #service(): void {
    const { d } = this;
    const s = d.pick(d.services);
    const a = d.outside !== null && d.chance(30) ? d.outside : d.pick(d.pods);
    const byNodePort = d.chance(40);
    const common = {
      id: this.#id(),
      ns: a.node >= 0 && d.chance(15) ? `n${a.node + 1}` : a.ns,
      dst: byNodePort ? d.pick(d.nodeIps) : s.vip,
      sport: this.#port++,
      dport: byNodePort ? s.nodePort : s.port,
      timeout: 0.4,
      ...(d.chance(80) ? { server: serversOf(s) } : {}),
    };
    if (s.proto === "udp")
      this.ops.push({
        op: "udp",
        ...common,
        size: d.pick([10, 1400, 2000]),
        count: 1 + d.r.below(2),
        pmtu: d.pick(["dont", "want"]),
      });
    else this.ops.push({ op: "tcp", ...common, c2s: 1 + d.r.below(2000), s2c: 1 + d.r.below(2000) });
  }

  /** Two pods of one node send from the same port (or with the same ICMP id) to the host outside. */
  #collision(to: EndHost): void {
    const { d } = this;
    const first = d.pick(d.pods);
    const pair = d.pods.filter((p) => p.node === first.node);
    const sport = this.#port++;
    const dport = 7200 + d.r.below(50);
    const kind = d.r.below(3);
    for (const p of pair) {
      const common = { id: this.#id(), ns: p.ns, dst: to.ip, timeout: 0.4 };
      if (kind === 0) this.ops.push({ op: "ping", ...common, ident: sport, count: 1, size: 56 });
      else if (kind === 1)
        this.ops.push({
          op: "udp",
          ...common,
          sport,
          dport,
          size: 40,
          count: 1,
          server: { ns: to.ns, port: dport },
        });
      else
        this.ops.push({
          op: "tcp",
          ...common,
          sport,
          dport,
          c2s: 1 + d.r.below(500),
          s2c: 1 + d.r.below(500),
          server: { ns: to.ns, port: dport },
        });
    }
  }

  #ping(ns: string, dst: string): void {
    const { d } = this;
    this.ops.push({
      op: "ping",
      id: this.#id(),
      ns,
      dst,
      ident: 1000 + this.ops.length,
      count: 1 + d.r.below(3),
      size: d.pick(SIZES),
      timeout: 0.4,
      ...(d.chance(30) ? { ttl: 1 + d.r.below(6) } : {}),
      ...(d.chance(30) ? { tos: d.r.below(256) } : {}),
      ...(d.chance(50) ? { pmtu: d.pick(PMTU) } : {}),
    });
  }

  #udp(ns: string, dst: string, b: EndHost): void {
    const { d } = this;
    const dport = 7000 + d.r.below(100);
    this.ops.push({
      op: "udp",
      id: this.#id(),
      ns,
      dst,
      sport: this.#port++,
      dport,
      size: d.pick(SIZES),
      count: 1 + d.r.below(3),
      timeout: 0.4,
      ...(d.chance(20) ? { ttl: 1 + d.r.below(6) } : {}),
      ...(d.chance(50) ? { pmtu: d.pick(PMTU) } : {}),
      ...(d.chance(75) && dst === b.ip ? { server: { ns: b.ns, port: dport } } : {}),
      ...(d.chance(30) ? { connect: true } : {}),
    });
  }

  #tcp(ns: string, dst: string, b: EndHost): void {
    const { d } = this;
    const dport = 8000 + d.r.below(100);
    this.ops.push({
      op: "tcp",
      id: this.#id(),
      ns,
      dst,
      sport: this.#port++,
      dport,
      timeout: 0.4,
      c2s: 1 + d.r.below(3000),
      s2c: 1 + d.r.below(3000),
      ...(d.chance(80) && dst === b.ip ? { server: { ns: b.ns, port: dport } } : {}),
    });
  }

  /** A datagram in two fragments: in order or not, with a gap, an overlap or not, or only one of the two. */
  #fragments(a: EndHost, dst: string): void {
    const { d } = this;
    const cut = 8 * (1 + d.r.below(120));
    const rest = 1 + d.r.below(800);
    const len = cut + rest;
    const udp = [5000, 6000, len, 0].map((x) => x.toString(16).padStart(4, "0")).join("");
    const data = Array.from({ length: len - 8 }, (_, i) =>
      ((i * 7) & 255).toString(16).padStart(2, "0"),
    ).join("");
    const all = udp + data;
    const common = {
      src: a.ip,
      dst,
      id: 1 + d.r.below(65535),
      ttl: d.pick([2, 64]),
      tos: 0,
      proto: 17,
      df: d.chance(20),
    };
    const from = d.chance(80) ? cut : d.pick([Math.max(0, cut - 8), cut + 8]);
    const parts = [
      { ...common, mf: true, payload_hex: all.slice(0, cut * 2) },
      { ...common, frag: from / 8, payload_hex: all.slice(from * 2) },
    ];
    if (d.chance(50)) parts.reverse();
    if (d.chance(15)) parts.pop();
    for (const ip of parts) this.ops.push({ op: "raw", id: this.#id(), ns: a.ns, settle: 0.05, ip });
  }

  #raw(a: EndHost, b: EndHost, dst: string): void {
    const { d } = this;
    const n = this.ops.length;
    this.ops.push({
      op: "raw",
      id: this.#id(),
      ns: a.ns,
      settle: 0.3,
      ip: {
        src: d.chance(85) ? a.ip : d.pick(["10.9.9.9", "127.0.0.1", b.ip, "0.0.0.1", "224.0.0.5"]),
        dst,
        id: 1 + d.r.below(65535),
        ttl: d.pick([1, 2, 3, 64, 255]),
        tos: d.r.below(256),
        df: d.chance(50),
        ...(d.chance(15) ? { mf: true } : {}),
        ...(d.chance(15) ? { frag: d.r.below(100) } : {}),
        ...(d.chance(15) ? { ip_options_hex: d.pick(["0707040000000000", "94040000", "01010101"]) } : {}),
        l4: d.pick([
          { kind: "udp", sport: 5000 + n, dport: 6000 + n, len: d.r.below(1400) },
          {
            kind: "icmp",
            type: d.pick([8, 13, 17, 0, 3, 42]),
            code: 0,
            id: 5,
            seq: 1,
            len: 12 + d.r.below(1000),
          },
          {
            kind: "tcp",
            sport: 5000 + n,
            dport: 6000 + n,
            flags: d.pick(["S", "A", "R", "SA", "FA"]),
            len: 0,
            seqno: 1000,
            ackno: 2000,
          },
        ]),
      },
    });
  }
}
