// Random packets between pods, to services and from afar, and a clock that moves, against a small model of conntrack:
// the model keeps connections by name and knows nothing of tuples, words or programs. After every packet the verdicts
// of all look-ups and both conntrack maps in full must be the model's.

import { describe, expect, it } from "vitest";
import { ETH0_IFINDEX, ip, PlainNode } from "../../src/bench/programs_node.js";
import { Step, StepRecorder } from "../../src/bpf/steps.js";
import { icmp, ip4, tcp, udp } from "../../src/net/build.js";
import { ctLine, ctLines, ctName, T0 } from "../support/ct_text.js";
import fc from "../support/fast_check.js";
import { A, B, frame, R, SERVICE } from "../support/program_frames.js";
import { putService4 } from "../support/services.js";

const RUNS = 1_000;

const SYN = 0x02;
const RST = 0x04;
const FIN = 0x01;
const ACK = 0x10;

interface Packet {
  readonly proto: 6 | 17 | 1;
  readonly src: string;
  readonly dst: string;
  /** Ports; of ICMP the identifier stands at the side that asked, and `error` packets have none. */
  readonly sport: number;
  readonly dport: number;
  readonly flags: number;
  readonly error: boolean;
}

interface Entry {
  expires: number;
  rxClosing: boolean;
  txClosing: boolean;
  seenNonSyn: boolean;
  rev: number;
  backend: number;
  src: number;
  tx: number;
  rx: number;
  txReport: number;
  rxReport: number;
}

type Way = "egress" | "ingress" | "service";
type Verdict = "new" | "established" | "reply" | "related";

const IDENTITY: Readonly<Record<string, number>> = { [A]: 20001, [B]: 20002, [R]: 20004 };
const SERVICES: Readonly<Record<string, { rev: number; backend: number; port: number }>> = {
  [`6 ${SERVICE}:80`]: { rev: 0x700, backend: 1, port: 8080 },
  [`17 ${SERVICE}:53`]: { rev: 8, backend: 2, port: 5353 },
};
/** Ports of B that its policy admits. */
const ADMITTED = new Set(["6 80", "6 8080", "17 5353"]);

class Model {
  readonly entries = new Map<string, Entry>();
  readonly verdicts: Verdict[] = [];
  now = 0;

  /** A packet leaves `p.src`, a pod of this node. */
  send(packet: Packet): void {
    let p = packet;
    let rev = 0;
    const svc = p.error ? undefined : SERVICES[`${p.proto} ${p.dst}:${p.dport}`];
    if (svc !== undefined) {
      rev = svc.rev;
      const name = ctName(p.proto, "SVC", false, `${p.src}:${p.sport}`, `${p.dst}:${p.dport}`);
      if (this.#try(name, p, "service") === null) {
        this.verdicts.push("new");
        this.#create(name, p, "service", { rev, backend: svc.backend, src: 0 });
      } else {
        // Service entries are looked up as if by replies.
        this.verdicts.push("reply");
      }
      p = { ...p, dst: B, dport: svc.port };
    }
    const [verdict, name, entry] = this.#lookup(p, "egress", svc !== undefined);
    const own = { rev, backend: 0, src: IDENTITY[p.src] };
    if (verdict === "new" || (verdict === "established" && entry!.rev !== rev)) {
      this.#create(name, p, "egress", own);
    }
    if (p.dst === A || p.dst === B) this.receive(p);
  }

  /** A packet reaches the pod `p.dst`. */
  receive(p: Packet): void {
    const [verdict, name] = this.#lookup(p, "ingress", false);
    if (verdict !== "new") return;
    const admitted = p.dst !== B || p.proto === 1 || ADMITTED.has(`${p.proto} ${p.dport}`);
    if (admitted) this.#create(name, p, "ingress", { rev: 0, backend: 0, src: IDENTITY[p.src] });
  }

  #name(p: Packet, kind: "OUT" | "IN", reverse: boolean): string {
    const from = `${p.src}:${p.error ? 0 : p.sport}`;
    const to = `${p.dst}:${p.error ? 0 : p.dport}`;
    return reverse ? ctName(p.proto, kind, p.error, to, from) : ctName(p.proto, kind, p.error, from, to);
  }

  /** First the connection that this packet would answer (none, if it goes to a service), then the one it belongs to. */
  #lookup(p: Packet, way: "egress" | "ingress", translated: boolean): [Verdict, string, Entry | null] {
    const answered = translated
      ? null
      : this.#try(this.#name(p, way === "egress" ? "IN" : "OUT", true), p, way);
    const name = this.#name(p, way === "egress" ? "OUT" : "IN", false);
    if (answered !== null) {
      const verdict = p.error ? "related" : "reply";
      this.verdicts.push(verdict);
      return [verdict, name, answered];
    }
    const entry = this.#try(name, p, way);
    this.verdicts.push(entry === null ? "new" : "established");
    return [entry === null ? "new" : "established", name, entry];
  }

  #try(name: string, p: Packet, way: Way): Entry | null {
    const e = this.entries.get(name);
    if (e === undefined) return null;
    const opens = p.proto === 6 && (p.flags & (SYN | ACK | FIN | RST)) === SYN;
    const closes = p.proto === 6 && (p.flags & (FIN | RST)) !== 0;
    const closing = e.rxClosing || e.txClosing;
    // A service entry that closed 30 s ago is not taken up again, with SYN of any kind.
    if (
      way === "service" &&
      p.proto === 6 &&
      (p.flags & SYN) !== 0 &&
      closing &&
      e.txReport + 30 <= this.now
    ) {
      return null;
    }
    if (!(e.rxClosing && e.txClosing)) this.#refresh(e, p, way);
    if (opens && closing) {
      Object.assign(e, { rxClosing: false, txClosing: false, seenNonSyn: false, tx: 0, rx: 0 });
      this.#refresh(e, p, way);
      return null;
    }
    if (closes) {
      if (way === "service" || (p.flags & RST) !== 0) e.rxClosing = e.txClosing = true;
      else if (way === "ingress") e.rxClosing = true;
      else e.txClosing = true;
      if (e.rxClosing && e.txClosing) {
        e.expires = this.now + 10;
        this.#report(e, p.flags, way);
      }
    }
    return e;
  }

  #refresh(e: Entry, p: Packet, way: Way): void {
    if (p.proto === 6 && (p.flags & SYN) === 0) e.seenNonSyn = true;
    e.expires = this.now + (p.proto === 6 && e.seenNonSyn ? 8000 : 60);
    this.#report(e, p.proto === 6 ? p.flags : 0, way);
  }

  #report(e: Entry, flags: number, way: Way): void {
    const [seen, at] = way === "ingress" ? (["rx", "rxReport"] as const) : (["tx", "txReport"] as const);
    const all = e[seen] | flags;
    if (all === e[seen] && Math.max(e[at], -T0) + 5 >= this.now) return;
    e[seen] = all;
    e[at] = this.now;
  }

  #create(name: string, p: Packet, way: Way, own: { rev: number; backend: number; src: number }): void {
    const fresh = (): Entry => {
      const e: Entry = {
        expires: 0,
        rxClosing: false,
        txClosing: false,
        seenNonSyn: false,
        tx: 0,
        rx: 0,
        txReport: -T0,
        rxReport: -T0,
        ...own,
      };
      this.#refresh(e, { ...p, flags: SYN }, way);
      return e;
    };
    if (way !== "service") {
      const kind = way === "egress" ? "OUT" : "IN";
      this.entries.set(ctName(1, kind, true, `${p.src}:0`, `${p.dst}:0`), fresh());
    }
    this.entries.set(name, fresh());
  }

  lines(): string[] {
    return [...this.entries]
      .map(([name, e]) =>
        ctLine(name, {
          ...e,
          flags: (e.rxClosing ? 1 : 0) | (e.txClosing ? 2 : 0) | (e.seenNonSyn ? 0x10 : 0),
          txReport: e.txReport === -T0 ? -1 : e.txReport,
          rxReport: e.rxReport === -T0 ? -1 : e.rxReport,
        }),
      )
      .sort();
  }
}

function bytes(p: Packet): Uint8Array {
  const l3 = ip4({ src: p.src, dst: p.dst });
  if (p.proto === 6) return frame(l3, tcp({ src: p.sport, dst: p.dport, flags: p.flags }));
  if (p.proto === 17) return frame(l3, udp({ src: p.sport, dst: p.dport }));
  if (p.error) {
    return frame(l3, icmp({ type: 3, code: 1 }), ip4({ src: p.dst, dst: p.src }), udp({ src: 1, dst: 2 }));
  }
  return frame(l3, icmp(p.sport !== 0 ? { type: 8, id: p.sport } : { type: 0, id: p.dport }));
}

const CLIENT_PORTS = [40000, 40001];
const SERVER_PORTS = { 6: [80, 81, 8080], 17: [53, 5353] } as const;

/** A packet of one of few connections, so that they meet again: client to server, or back. */
const packet: fc.Arbitrary<Packet> = fc
  .record({
    proto: fc.constantFrom<6 | 17 | 1>(6, 6, 6, 17, 1),
    ends: fc.constantFrom([A, B], [A, B], [A, SERVICE], [A, SERVICE], [A, R], [R, A], [R, B]),
    back: fc.boolean(),
    client: fc.constantFrom(...CLIENT_PORTS),
    server: fc.nat(2),
    flags: fc.constantFrom(SYN, SYN, SYN | ACK, ACK, ACK, ACK | 8, FIN | ACK, RST, RST | ACK),
    error: fc.boolean(),
  })
  .map(({ proto, ends: [client, server], back, client: cport, server: n, flags, error }) => {
    const err = proto === 1 && error;
    const ports = proto === 1 ? [0] : SERVER_PORTS[proto];
    // Answers of a service come from its backend's address.
    const far = back && server === SERVICE ? B : server;
    const sport = ports[n % ports.length];
    const forward = { src: client, dst: far, sport: cport, dport: sport };
    const backward = { src: far, dst: client, sport, dport: cport };
    return {
      proto,
      flags,
      error: err,
      ...(back ? backward : forward),
      ...(err ? { sport: 0, dport: 0 } : {}),
    };
  });

const steps = fc.array(
  fc.oneof({ weight: 5, arbitrary: packet }, fc.constantFrom(1, 5, 6, 29, 30, 61, 9000)),
  { minLength: 1, maxLength: 40 },
);

/** Pod B admits some ports; a UDP service stands beside the TCP one. */
function makeNode(): PlainNode {
  const node = new PlainNode({ ctSize: 256 });
  node.revoke(1002, "ingress", 0);
  node.allow(1002, "ingress", 0, 1);
  for (const text of ADMITTED) {
    const [proto, port] = text.split(" ").map(Number);
    node.allow(1002, "ingress", 0, proto, port);
  }
  putService4(node.maps, {
    address: ip(SERVICE),
    port: 53,
    proto: 17,
    rev: 8,
    backends: [{ id: 2, address: ip(B), port: 5353 }],
  });
  return node;
}

const VERDICTS: readonly Verdict[] = ["new", "established", "reply", "related"];

describe("conntrack", () => {
  it("agrees with the model after every packet of random sequences", () => {
    const node = makeNode();
    const fresh = node.maps.save();
    const recorder = new StepRecorder(node.clock, 64);
    node.datapath.recorder = recorder;
    let packets = 0;
    fc.assert(
      fc.property(steps, (list) => {
        const model = new Model();
        node.maps.restore(fresh);
        node.clock.set(T0 * 1e9);
        for (const step of list) {
          if (typeof step === "number") {
            node.clock.advance(step * 1e9);
            model.now += step;
            continue;
          }
          recorder.clear();
          model.verdicts.length = 0;
          const local = step.src === A || step.src === B;
          const skb = node.receive(bytes(step), local ? 101 : ETH0_IFINDEX);
          if (local) {
            (step.src === A ? node.a : node.b).from_container.run(skb);
            model.send(step);
          } else {
            node.eth0.from_netdev.run(skb);
            model.receive(step);
          }
          const verdicts = recorder
            .records()
            .filter((r) => r.kind === Step.CT)
            .map((r) => VERDICTS[r.a]);
          // One comparison of text a packet: `toEqual` on lists takes most of the run.
          const ours = [...verdicts, ...ctLines(node.maps)].join("\n");
          expect(ours).toBe([...model.verdicts, ...model.lines()].join("\n"));
          packets++;
        }
      }),
      { numRuns: RUNS },
    );
    expect(packets).toBeGreaterThan(5 * RUNS);
  });
});
