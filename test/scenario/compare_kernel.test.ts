// What BPF host routing skips, against what a kernel did: labs of vectors/kernel, recorded with stack routing, plain
// redirect and redirect_peer/redirect_neigh. Names of the model's two-node cluster: a, b on n1, c on n2.
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compareFlow, type Versus } from "../../src/walk/compare.js";
import { type Flow, parseFlow } from "../../src/walk/flow.js";
import { twoNodeLab } from "../support/two_nodes.js";

const VECTORS = new URL("../../../shared/vectors/kernel/", import.meta.url);
const present = existsSync(new URL("cilium-bpf/events.jsonl", VECTORS));

/** One line of events.jsonl. */
interface Event {
  readonly ev: string;
  readonly ns: string;
  readonly dev?: string;
  readonly src?: string;
  readonly dst?: string;
  readonly ipproto?: number;
  readonly id?: number;
  readonly t_us: number;
}

/** What one packet met, by place. */
interface Met {
  readonly hooks: readonly string[];
  readonly chains: readonly string[];
  readonly fib: readonly string[];
  readonly backlog: readonly string[];
}

const ADDR: Readonly<Record<string, string>> = { p1: "10.0.0.85", p2: "10.0.0.86", p3: "10.0.1.124" };
const PLACE: Readonly<Record<string, string>> = {
  n1: "n1",
  n2: "n2",
  p1: "pod/default/a",
  p2: "pod/default/b",
  p3: "pod/default/c",
};
const PROTO = { icmp: 1, tcp: 6, udp: 17 } as const;

const read = (lab: string, file: string): string => readFileSync(new URL(`${lab}/${file}`, VECTORS), "utf8");

/** Chains of the packets that trace.txt shows, by namespace and IP id. */
function traced(lab: string, src: string, dst: string): Map<string, string[]> {
  const out = new Map<string, string[]>();
  let ns = "";
  let key = "";
  for (const line of read(lab, "trace.txt").split("\n")) {
    const head = /^### netfilter trace in (\S+)/.exec(line);
    if (head !== null) ns = head[1]!;
    if (line.startsWith("packet")) key = "";
    const p = /SRC=(\S+) DST=(\S+) .* ID=(\d+)/.exec(line);
    if (p !== null) key = p[1] === src && p[2] === dst ? `${ns} ${p[3]}` : "";
    const step = /^ {2}> (\w+):(\w+):/.exec(line);
    if (step !== null && key !== "") out.set(key, [...(out.get(key) ?? []), `${step[1]}:${step[2]}`]);
  }
  return out;
}

/** What most packets of a protocol from one pod to another met. */
function recorded(lab: string, from: string, to: string, proto: keyof typeof PROTO): Met {
  const src = ADDR[from]!;
  const dst = ADDR[to]!;
  const events = read(lab, "events.jsonl")
    .trim()
    .split("\n")
    .map((l) => JSON.parse(l) as Event);
  const chains = traced(lab, src, dst);
  // In the order of the path.
  const nodes = from === "p3" ? ["n2", "n1"] : ["n1", "n2"];
  const mine = (e: Event): boolean => e.src === src && e.dst === dst;
  const packets = events.filter(
    (e) => e.ev === "tx" && e.ns === from && mine(e) && e.ipproto === PROTO[proto] && e.id !== 0,
  );
  const seen = new Map<string, { met: Met; n: number }>();
  for (const sent of packets) {
    const of = events.filter((e) => mine(e) && e.id === sent.id);
    const end = Math.max(...of.map((e) => e.t_us));
    const nodeFib = events.filter(
      (e) => e.ev === "fib" && mine(e) && e.ns.startsWith("n") && e.t_us >= sent.t_us && e.t_us <= end,
    );
    const met: Met = {
      hooks: nodes.flatMap((ns) => {
        const c = chains.get(`${ns} ${sent.id}`) ?? [];
        return [...new Set(c.map((x) => x.split(":")[1]!))].map((h) => `${PLACE[ns]} ${h}`);
      }),
      chains: nodes.flatMap((ns) => (chains.get(`${ns} ${sent.id}`) ?? []).map((c) => `${PLACE[ns]} ${c}`)),
      fib: nodeFib.map((e) => PLACE[e.ns]!),
      // netif_receive_skb is called from the backlog alone here: every device is a veth.
      backlog: of.filter((e) => e.ev === "rx" && e.ns in PLACE).map((e) => PLACE[e.ns]!),
    };
    const key = JSON.stringify(met);
    seen.set(key, { met, n: (seen.get(key)?.n ?? 0) + 1 });
  }
  return [...seen.values()].sort((a, b) => b.n - a.n)[0]!.met;
}

/** Members of `b` that `a` lacks. */
function lacking(a: readonly string[], b: readonly string[]): string[] {
  const left = [...a];
  return b.filter((x) => {
    const i = left.indexOf(x);
    if (i >= 0) left.splice(i, 1);
    return i < 0;
  });
}

/** The model's difference with places only, as the record can tell them. */
function modelled(v: Versus): Met {
  return {
    hooks: v.skips.netfilterHooks,
    chains: v.skips.chains,
    fib: v.skips.fibLookups.map((x) => x.split(" ")[0]!),
    backlog: v.skips.backlogPasses.map((x) => x.split(" ")[0]!),
  };
}

const PATHS = [
  // On one node Cilium's legacy mode redirects too: the lab with plain bpf_redirect is its like.
  ["same-node", "p1", "p2", "pod/b", "cilium-redirect"],
  ["cross-node", "p1", "p3", "pod/c", "cilium-legacy"],
] as const;

describe.skipIf(!present)(
  "compare against recorded kernels (../shared/vectors/kernel is absent where this is skipped)",
  () => {
    for (const [path, from, to, pod, legacyLab] of PATHS) {
      it.each(["icmp", "udp", "tcp"] as const)(
        `names what host routing skips ${path} of %s as the kernel's records do`,
        (proto) => {
          const flow: Flow = parseFlow(`pod/a -> ${pod}${proto === "icmp" ? "" : `:8080/${proto}`}`);
          const c = compareFlow(
            [twoNodeLab({ datapath: "cilium-host-routing" }), twoNodeLab({ datapath: "cilium-legacy" })],
            flow,
            { state: "established" },
          );
          for (const [i, [a, b]] of [
            [from, to],
            [to, from],
          ].entries()) {
            const bpf = recorded("cilium-bpf", a!, b!, proto);
            const legacy = recorded(legacyLab, a!, b!, proto);
            expect(modelled(c.directions[i]!.versus[0]!)).toEqual({
              hooks: lacking(bpf.hooks, legacy.hooks),
              chains: lacking(bpf.chains, legacy.chains),
              fib: lacking(bpf.fib, legacy.fib),
              backlog: lacking(bpf.backlog, legacy.backlog),
            });
          }
        },
      );
    }
  },
);

describe("compare of host routing and legacy routing", () => {
  const labs = (): ReturnType<typeof twoNodeLab>[] => [
    twoNodeLab({ datapath: "cilium-host-routing" }),
    twoNodeLab({ datapath: "cilium-legacy" }),
  ];

  it("names three hooks on each node, one FIB look-up and one backlog pass for a cross-node request", () => {
    const v = compareFlow(labs(), parseFlow("pod/a -> pod/c"), {}).directions[0]!.versus[0]!;
    expect({ skips: v.skips, adds: v.adds }).toEqual({
      skips: {
        netfilterHooks: ["n1", "n2"].flatMap((n) =>
          ["PREROUTING", "FORWARD", "POSTROUTING"].map((h) => `${n} ${h}`),
        ),
        chains: ["n1", "n2"].flatMap((n) =>
          [
            "raw:PREROUTING",
            "mangle:PREROUTING",
            "mangle:FORWARD",
            "filter:FORWARD",
            "mangle:POSTROUTING",
          ].map((h) => `${n} ${h}`),
        ),
        fibLookups: ["n2 10.0.1.0/24 via 10.0.1.1 dev cilium_host proto kernel src 10.0.1.1 (input)"],
        backlogPasses: ["pod/default/c eth0"],
        programs: ["n2 cil_from_host"],
        transmissions: ["n2 cilium_host", "n2 lxc_c"],
        redirects: ["n2 egress"],
        encapsulations: [],
      },
      adds: {
        netfilterHooks: [],
        chains: [],
        fibLookups: [],
        backlogPasses: [],
        programs: [],
        transmissions: [],
        redirects: ["n1 neigh", "n2 peer"],
        encapsulations: [],
      },
    });
  });

  it("names one backlog pass and one transmission, and no hook, for a same-node request", () => {
    const v = compareFlow(labs(), parseFlow("pod/a -> pod/b:8080/tcp"), {}).directions[0]!.versus[0]!;
    expect(v.skips).toEqual({
      netfilterHooks: [],
      chains: [],
      fibLookups: [],
      backlogPasses: ["pod/default/b eth0"],
      programs: [],
      transmissions: ["n1 lxc_b"],
      redirects: ["n1 egress"],
      encapsulations: [],
    });
  });

  it("finds rules, TTL and the fields that changed at the step that changed them", () => {
    const c = compareFlow(labs(), parseFlow("pod/a -> pod/c:53/udp"), {});
    const [fast, legacy] = c.directions[0]!.walks;
    expect([fast!.ttl, legacy!.ttl]).toEqual([62, 61]);
    expect(legacy!.counts.rulesEvaluated).toBe(16);
    expect(fast!.counts.rulesEvaluated).toBe(0);
    const ttl = (w: typeof fast): string[] =>
      w!.steps.flatMap((s) =>
        s.changes.filter((x) => x.field === "ip.ttl").map((x) => `${s.where} ${s.what} ${x.from} -> ${x.to}`),
      );
    expect(ttl(fast)).toEqual(["n1 verdict 64 -> 63", "n2 tail call 63 -> 62"]);
    expect(ttl(legacy)).toEqual([
      "n1 ip_forward 64 -> 63",
      "n2 ip_forward 63 -> 62",
      "n2 tail call 62 -> 61",
    ]);
    expect([fast!.decided, legacy!.decided]).toEqual([
      "cil_from_netdev: bpf_redirect_peer to lxc_c",
      "cil_from_host: bpf_redirect to lxc_c",
    ]);
  });
});
