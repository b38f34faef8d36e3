// Bench of the datapath programs beside the recorded cost of the real ones (facts: profile hr, BPF host routing). One
// operation is one packet through the whole chain of tail calls, made the way the real figures were: TCP frames of 54
// bytes, the frame restored from a template before every run; the cost of that, measured with an empty program behind
// it, is subtracted here as it was there.

import { Program } from "../bpf/program.js";
import type { Skb } from "../bpf/skb.js";
import {
  ETH0_IFINDEX,
  frame4,
  ip,
  PlainNode,
  type PlainNodeOptions,
  POD_A,
  POD_B,
  POD_R,
  SERVICE,
  WORLD,
} from "./programs_node.js";
import type { BenchCase, BenchSuite } from "./suite.js";

const BATCH = 1024;
const SYN = 0x02;
const ACK = 0x10;
const SYN_ACK = 0x12;
/** Distinct flows of the cold-cache row. */
const MANY_FLOWS = 100_000;
/** New flows after which the tables are emptied, so that they never fill. */
const NEW_FLOWS = 60_000;

/** Restores what a program may change in the skb between two runs; whole words, as frames begin at one. */
function restore(skb: Skb, frame: Int32Array): void {
  const words = wordsOf(skb);
  const at = skb.data >> 2;
  for (let i = 0; i < frame.length; i++) words[at + i] = frame[i];
  skb.mark = 0;
  skb.tcIndex = 0;
}

let cached: Uint8Array | null = null;
let cachedWords: Int32Array = new Int32Array(0);

function wordsOf(skb: Skb): Int32Array {
  if (cached !== skb.bytes) {
    cached = skb.bytes;
    cachedWords = new Int32Array(skb.bytes.buffer);
  }
  return cachedWords;
}

function template(frame: Uint8Array): Int32Array {
  const padded = new Uint8Array((frame.length + 3) & ~3);
  padded.set(frame);
  return new Int32Array(padded.buffer);
}

function discard(node: PlainNode): void {
  if (node.maps.cilium_events.enabled) node.maps.cilium_events.discard();
}

/** What is measured, and the same with a program that does nothing: its cost is subtracted, as it was from the real ones. */
interface Loop {
  readonly run: () => void;
  readonly overhead: () => void;
}

const EMPTY = new Program({ name: "empty", type: "sched_cls", section: "tc", file: "bench" }, () => 0);

function loop(program: Program, body: (p: Program) => () => void): Loop {
  return { run: body(program), overhead: body(EMPTY) };
}

/** The same packet again and again. */
function steady(node: PlainNode, program: Program, frame: Uint8Array, ifindex: number, mark = 0): Loop {
  const skb = node.receive(frame, ifindex);
  const words = template(frame);
  return loop(program, (p) => () => {
    for (let i = 0; i < BATCH; i++) {
      restore(skb, words);
      skb.mark = mark;
      p.run(skb);
    }
    discard(node);
  });
}

/** Opens the flow A -> `daddr` as both ends see it. */
function open(node: PlainNode, daddr: number, dport: number): void {
  const a = node.a.from_container;
  a.run(node.receive(frame4(POD_A, daddr, 6, 40000, dport, SYN), 101));
  if (daddr === POD_B || daddr === SERVICE) {
    node.b.from_container.run(node.receive(frame4(POD_B, POD_A, 6, 8080, 40000, SYN_ACK), 102));
  }
  a.run(node.receive(frame4(POD_A, daddr, 6, 40000, dport, ACK), 101));
  discard(node);
}

/** Every packet a new flow: the source port counts up; the tables are emptied before they fill. */
function fresh(node: PlainNode, program: Program, frame: Uint8Array, ifindex: number, mark = 0): Loop {
  const skb = node.receive(frame, ifindex);
  const words = template(frame);
  let n = 0;
  return loop(program, (p) => () => {
    const view = skb.view;
    for (let i = 0; i < BATCH; i++) {
      restore(skb, words);
      skb.mark = mark;
      view.setUint16(skb.data + 34, 1024 + (n % NEW_FLOWS), false);
      if (++n % NEW_FLOWS === 0) {
        node.maps.cilium_ct4_global.clear();
        node.maps.cilium_ct_any4_global.clear();
        node.maps.cilium_snat_v4_external.clear();
      }
      p.run(skb);
    }
    discard(node);
  });
}

/** Established flows in turn, far more than the caches hold. */
function manyFlows(node: PlainNode): Loop {
  const frame = frame4(POD_A, POD_B, 6, 40000, 8080, SYN);
  const skb = node.receive(frame, 101);
  const program = node.a.from_container;
  // Ports of both ends number the flows; a multiplicative step visits them in no order that caches like.
  const set = (i: number): void => {
    const view = skb.view;
    const port = (i * 7919) % MANY_FLOWS;
    view.setUint16(skb.data + 34, 10000 + (port % 50000), false);
    view.setUint16(skb.data + 36, 8080 + Math.floor(port / 50000), false);
  };
  const syn = template(frame);
  for (let i = 0; i < MANY_FLOWS; i++) {
    restore(skb, syn);
    set(i);
    program.run(skb);
  }
  discard(node);
  const data = template(frame4(POD_A, POD_B, 6, 40000, 8080, ACK));
  let n = 0;
  return loop(program, (p) => () => {
    for (let i = 0; i < BATCH; i++) {
      restore(skb, data);
      set(n);
      if (++n === MANY_FLOWS) n = 0;
      p.run(skb);
    }
    discard(node);
  });
}

function add(
  out: BenchCase[],
  group: string,
  name: string,
  measured: Loop,
  realNs?: number,
  steadyState = true,
): void {
  const base = { group, name, batch: BATCH, ...measured, steady: steadyState };
  out.push(realNs === undefined ? base : { ...base, realNs });
}

function forwarding(out: BenchCase[], group: string, o: PlainNodeOptions, real: boolean): void {
  const cost = (ns: number): number | undefined => (real ? ns : undefined);
  let n = new PlainNode(o);
  open(n, POD_B, 8080);
  add(
    out,
    group,
    "from-container, same node, established, with ingress policy",
    steady(n, n.a.from_container, frame4(POD_A, POD_B, 6, 40000, 8080), 101),
    cost(873),
  );
  add(
    out,
    group,
    "from-container, same node, reply direction",
    steady(n, n.b.from_container, frame4(POD_B, POD_A, 6, 8080, 40000), 102),
    cost(637),
  );
  n = new PlainNode(o);
  open(n, POD_R, 8080);
  add(
    out,
    group,
    "from-container, cross node, established",
    steady(n, n.a.from_container, frame4(POD_A, POD_R, 6, 40000, 8080), 101),
    cost(634),
  );
  n = new PlainNode(o);
  open(n, SERVICE, 80);
  add(
    out,
    group,
    "from-container, ClusterIP with local backend, established",
    steady(n, n.a.from_container, frame4(POD_A, SERVICE, 6, 40000, 80), 101),
    cost(975),
  );
  n = new PlainNode(o);
  n.eth0.from_netdev.run(n.receive(frame4(POD_R, POD_B, 6, 40000, 8080, SYN), ETH0_IFINDEX));
  discard(n);
  add(
    out,
    group,
    "from-netdev, local delivery, established, with ingress policy",
    steady(n, n.eth0.from_netdev, frame4(POD_R, POD_B, 6, 40000, 8080), ETH0_IFINDEX),
    cost(622),
  );
  n = new PlainNode(o);
  add(
    out,
    group,
    "to-netdev, SNAT, established",
    steady(n, n.eth0.to_netdev, frame4(POD_A, WORLD, 6, 40000, 443), ETH0_IFINDEX, (20001 << 16) | 0x0f00),
    cost(373),
  );
  n = new PlainNode(o);
  n.maps.addPolicyMap(1001).clear();
  add(
    out,
    group,
    "from-container, dropped by egress policy",
    steady(n, n.a.from_container, frame4(POD_A, POD_B, 6, 40000, 8080, SYN), 101),
    cost(353),
  );
  n = new PlainNode({ ...o, ctSize: 524288 });
  add(
    out,
    group,
    "from-container, new flow a packet, same node",
    fresh(n, n.a.from_container, frame4(POD_A, POD_B, 6, 40000, 8080, SYN), 101),
    cost(2679),
    false,
  );
  n = new PlainNode({ ...o, ctSize: 524288 });
  add(
    out,
    group,
    "from-container, new flow a packet, cross node",
    fresh(n, n.a.from_container, frame4(POD_A, POD_R, 6, 40000, 8080, SYN), 101),
    cost(1501),
    false,
  );
}

/** Policy entries (identity and port) in both maps of the established same-node flow. */
function policySize(entries: number): Loop {
  const n = new PlainNode();
  for (const [ep, direction, id] of [
    [1001, "egress", 20002],
    [1002, "ingress", 20001],
  ] as const) {
    n.maps.addPolicyMap(ep).clear();
    for (let i = 0; i < entries - 1; i++) n.allow(ep, direction, 30000 + (i >> 4), 6, 1000 + (i & 15));
    n.allow(ep, direction, id, 6, 8080);
  }
  open(n, POD_B, 8080);
  return steady(n, n.a.from_container, frame4(POD_A, POD_B, 6, 40000, 8080), 101);
}

/** Services in the map that every packet is looked up in. */
function serviceCount(count: number): Loop {
  const n = new PlainNode();
  const key = new Uint8Array(12);
  const v = new DataView(key.buffer);
  const value = Uint8Array.from([0, 0, 0, 0, 1, 0, 0, 7, 0, 0, 0, 0]);
  for (let i = 0; i < count - 1; i++) {
    v.setInt32(0, ip(`10.97.${i >>> 8}.${i & 255}`), true);
    v.setUint16(4, 80);
    key[8] = 6;
    n.maps.cilium_lb4_services_v2.set(key, value);
  }
  open(n, SERVICE, 80);
  return steady(n, n.a.from_container, frame4(POD_A, SERVICE, 6, 40000, 80), 101);
}

/** `name` and cases of the programs' bench. */
export function programsBench(): BenchSuite {
  return {
    name: "programs",
    cases: () => {
      const out: BenchCase[] = [];
      forwarding(out, "aggregation medium, nobody reads events", {}, true);
      forwarding(out, "aggregation medium, events read", { reader: true }, false);
      forwarding(
        out,
        "aggregation none, events read",
        { reader: true, config: { MONITOR_AGGREGATION: 0 } },
        false,
      );
      add(
        out,
        "flows and tables",
        "100,000 established flows in turn",
        manyFlows(new PlainNode({ ctSize: 524288 })),
        1971,
      );
      for (const size of [1024, 524288]) {
        const n = new PlainNode({ ctSize: size });
        open(n, POD_B, 8080);
        add(
          out,
          "flows and tables",
          `same node, established, conntrack of ${size} entries`,
          steady(n, n.a.from_container, frame4(POD_A, POD_B, 6, 40000, 8080), 101),
        );
      }
      for (const entries of [10, 10_000]) {
        add(
          out,
          "flows and tables",
          `same node, established, ${entries} policy entries`,
          policySize(entries),
        );
      }
      for (const count of [10, 10_000]) {
        add(out, "flows and tables", `ClusterIP, established, ${count} services`, serviceCount(count));
      }
      return out;
    },
  };
}
