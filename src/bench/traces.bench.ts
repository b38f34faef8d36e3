// Whole traces: an ICMP round trip between two pods with its walks recorded and every sample of both nodes rendered as
// `cilium monitor -v -v` prints it, aggregation none. One operation is request and reply, from the socket to the text.

import { MonitorFormatter } from "../../monitor/format.js";
import { Ping } from "../kernel/raw.js";
import type { Lab } from "../lab.js";
import { type PairPod, pairLab } from "./lab.bench.js";
import type { BenchCase, BenchSuite } from "./suite.js";

const BATCH = 256;
/** Virtual time that the answer may take. */
const WAIT_NS = 1e9;

/** One trace more each time it is called; gives the text of both nodes, one after the other. */
export function tracer(lab: Lab, to: PairPod): () => { readonly text: string; readonly walks: number } {
  let text = "";
  for (const n of lab.cluster.nodes) {
    const f = new MonitorFormatter({ profile: "1.19", verbosity: 2, ifnames: (i) => n.ifname(i) });
    lab.monitor(n.name, (s) => {
      text += f.format(s.cpu, s.bytes);
    });
  }
  const ping = new Ping(lab.endpoint("pod/a").ns!, lab.endpoint(`pod/${to}`).ip4, 1);
  let seq = 0;
  return () => {
    text = "";
    seq = (seq + 1) & 0xffff;
    ping.probes.length = 0;
    const walks = lab.record(() => {
      ping.send(seq, 56);
      const probe = ping.probes[0]!;
      lab.runWhileWaiting(() => probe.reply !== null || probe.error !== null, WAIT_NS);
    });
    return { text, walks: walks.length };
  };
}

function traces(to: PairPod, name: string): BenchCase {
  const prepare = (): (() => void) => {
    const trace = tracer(pairLab("cilium-host-routing", "none"), to);
    // The first resolves neighbours.
    trace();
    const { text, walks } = trace();
    if (walks !== 2 || text === "") throw new Error(`${name}: ${walks} walks instead of 2`);
    let written = 0;
    return () => {
      // Text counts when it is written: measuring its bytes makes it one flat string, as the output does.
      for (let i = 0; i < BATCH; i++) written += Buffer.byteLength(trace().text);
      if (written < 0) throw new Error("unreachable");
    };
  };
  return {
    group: "round-trip traces, -v -v text and recorded walk",
    name,
    batch: BATCH,
    unit: "trace",
    steady: false,
    prepare,
  };
}

export const tracesSuite: BenchSuite = {
  name: "traces",
  isolate: true,
  cases: () => [traces("b", "same node, BPF host routing"), traces("c", "cross node, BPF host routing")],
};
