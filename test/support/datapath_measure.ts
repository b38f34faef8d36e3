// What the cells of the datapath table (datapath_table.ts) say in a lab: flows are sent, and their walks read.

import { expect } from "vitest";
import { Step } from "../../src/bpf/steps.js";
import type { Lab } from "../../src/lab.js";
import { decodeFrame } from "../../src/walk/fields.js";
import type { Walk } from "../../src/walk/walk.js";
import {
  type DatapathRow,
  type Direction,
  ENDS,
  largest,
  line,
  type Path,
  type Protocol,
  text,
} from "./datapath_table.js";
import { twoNodeLab } from "./two_nodes.js";

function service(name: string, app: string, n: number): string {
  const port = (p: string) =>
    `{name: ${p.toLowerCase()}, protocol: ${p}, port: 80, targetPort: 8080, nodePort: ${30000 + n}}`;
  return `---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {type: NodePort, clusterIP: 10.96.0.${n}, selector: {app: ${app}}, ports: [${port("TCP")}, ${port("UDP")}]}
`;
}

const MACHINES = ["pod/a", "pod/b", "pod/c", "node/n1", "node/n2", "host/outside"] as const;

/** The lab of a row: two nodes, three services, servers on all pods, neighbour tables filled. */
export function tableLab(r: DatapathRow): Lab {
  const lab = twoNodeLab(
    r.options,
    service("self", "a", 10) + service("near", "b", 11) + service("far", "c", 12),
  );
  for (const on of ["pod/a", "pod/b", "pod/c"])
    for (const protocol of ["tcp", "udp"] as const) lab.traffic.listen({ on, port: 8080, protocol });
  for (const from of MACHINES) {
    for (const to of MACHINES)
      if (from !== to && (from !== "host/outside" || to.startsWith("node"))) lab.ping({ from, to });
  }
  lab.ping({ from: "pod/a", to: "192.168.0.1" });
  return lab;
}

const PROTO = { icmp: 1, udp: 17, tcp: 6 } as const;

/** Steps of the longest flow, a TCP connection through kube-proxy, with room; a recorder's size costs time. */
const RECORDS = 4096;

/** Walks of a flow's own packets; ARP and ICMP errors have walks too. A connection must bring all of its bytes over. */
function send(lab: Lab, path: Path, proto: Protocol, bytes: number): Walk[] {
  const [from, to, port] = ENDS[path];
  const sizes = { send: 3 * bytes, receive: 10 };
  const walks = lab.record(() => {
    if (proto === "icmp") lab.ping({ from, to, size: bytes - 28, dontFragment: true });
    else if (proto === "udp") lab.udp({ from, to, port, size: bytes - 28 });
    else
      expect(lab.tcp({ from, to, port, ...sizes, close: "rst" }), `${path}, tcp`).toMatchObject({
        sent: sizes.send,
        received: sizes.receive,
      });
  }, RECORDS);
  return walks.filter((w) => {
    const first = w.steps.find((s) => s.kind === Step.LOCAL_OUT || s.kind === Step.DEV_XMIT);
    if (first === undefined) return false;
    const ip = decodeFrame(first.record.frame).levels[0];
    const type = ip?.fields.find((f) => f.name === "icmp.type")?.value;
    return ip?.ip?.proto === PROTO[proto] && (type === undefined || type === "8" || type === "0");
  });
}

const SHORT = { PREROUTING: "pre", INPUT: "in", FORWARD: "fwd", OUTPUT: "out", POSTROUTING: "post" } as const;

function directionOf(w: Walk): Direction {
  const nodes = [...new Set(w.steps.map((s) => s.where))].filter((n) => n === "n1" || n === "n2");
  const end = w.steps.at(-1)!.where.replace("pod/default/", "");
  return {
    end: w.delivered ? end : `${end} ${w.drop?.detail ?? "LOST"}`,
    ttl: w.ttl ?? -1,
    hooks: nodes.map((n) =>
      `${n}: ${w
        .hooks(n)
        .map((h) => SHORT[h])
        .join(" ")}`.trim(),
    ),
  };
}

/** Sends a cell's flow and says what was seen: packets of the expected MTU, then of one byte more. */
export function measuredCell(lab: Lab, r: DatapathRow, path: Path, proto: Protocol): string {
  const source = lab.endpoint(ENDS[path][0]).ns!.name;
  const tried = largest(r, path, proto);
  const walks = send(lab, path, proto, tried);
  const mine = walks.filter((w) => w.steps[0]!.where === source);
  const request = mine[0];
  // Of a hairpin both directions begin in the pod.
  const reply = walks.find((w) => w.steps[0]!.where !== source) ?? mine[1];
  if (request === undefined) return line(path, proto, "nothing sent", "no reply", "?");
  const seen = (w: Walk | undefined) => (w === undefined ? "no reply" : text(directionOf(w)));
  const size = measuredMtu(lab, path, proto, tried, mine, reply);
  // What one cell has learned about a path is not to be known in the next.
  for (const on of MACHINES) lab.exec(on, "ip route flush cache");
  return line(path, proto, seen(request), seen(reply), size);
}

/** Largest request that arrived whole, out of `tried` and one byte more; of TCP, what the ends agreed on. */
function measuredMtu(
  lab: Lab,
  path: Path,
  proto: Protocol,
  tried: number,
  requests: readonly Walk[],
  reply: Walk | undefined,
): string {
  const { end } = directionOf(requests[0]!);
  const whole = (w: Walk | undefined) =>
    w !== undefined && directionOf(w).end === end && w.of(Step.FRAGMENT).length === 0;
  if (!whole(requests[0])) return `below ${tried}`;
  // Segments are cut as the smaller of both ends' MSS options says; on the way they may be one GSO packet.
  if (proto === "tcp") return String(40 + Math.min(mssOption(requests[0]!), mssOption(reply!)));
  return whole(send(lab, path, proto, tried + 1)[0]) ? `above ${tried}` : String(tried);
}

/** The MSS option of a SYN, which comes first behind the TCP header. */
function mssOption(w: Walk): number {
  const f = w.of(Step.LOCAL_OUT)[0]!.record.frame;
  const at = (f[0]! & 15) * 4 + 20;
  return f[at] === 2 ? (f[at + 2]! << 8) | f[at + 3]! : 0;
}
