// What of a cluster packets have met: policy rules, service frontends and backends, routes and iptables rules of the
// nodes, each with how often. Counted from step records while a lab runs, so that a test run can say what it never tried.
//
//   policy rules   verdicts that an entry made from the rule decided (Cilium; Calico's policies are iptables rules)
//   services       flows that chose a backend: in connect() or a program, in a KUBE-SEP chain, by IPVS
//   routes         look-ups that found the route, bpf_fib_lookup's included, rp_filter's not; not the local table
//   iptables       packets that matched the rule

import { BpfMap } from "../../maps/bpf_map.js";
import { backend4Address, backend4Port, Lb4Key, svcRevNatIndex, U32Key } from "../../maps/lb.js";
import { NONE } from "../../maps/spec.js";
import type { SourcePosition } from "../base/errors.js";
import { Step, type StepRecord, StepRecorder } from "../bpf/steps.js";
import { CiliumPlane } from "../cluster/cilium/plane.js";
import { asWritten, keyBytes } from "../cluster/cilium/policy/lookup.js";
import type { RuleOrigin } from "../cluster/cilium/policy/rules.js";
import { readServices } from "../cluster/cilium/services.js";
import { RT_TABLE_LOCAL } from "../kernel/fib.js";
import { IpVsConn } from "../kernel/ipvs/ip_vs_conn.js";
import { XtRule } from "../kernel/netfilter/xt_rule.js";
import type { Netns } from "../kernel/netns.js";
import type { Lab } from "../lab.js";
import { formatIpv4 } from "../net/address.js";
import { bswap16, toHex } from "../net/view.js";
import { decodeFrame, type FrameLevel } from "./fields.js";
import { routeOfRecord, routeText } from "./route_text.js";

/** One thing that packets can meet, and how many times they did. */
export interface CoverageItem {
  /** The node that has it; "" for what the whole cluster has. */
  readonly where: string;
  /**
   * A policy rule (`NetworkPolicy default/web ingress rule 1`), a frontend (`default/web 10.96.0.10:80/TCP ClusterIP`), a
   * frontend with a backend (`... -> 10.0.1.21:8080`), a route or a rule with its table as the tools print them.
   */
  readonly name: string;
  readonly hits: number;
  /** Where the scenario says it; undefined for what a control plane made. */
  readonly position: SourcePosition | undefined;
}

/** What a run has met and not met, in the order of the scenario and of the tables. */
export interface CoverageReport {
  readonly policyRules: readonly CoverageItem[];
  readonly services: readonly CoverageItem[];
  readonly routes: readonly CoverageItem[];
  readonly iptables: readonly CoverageItem[];
  /** Steps that were overwritten before they were counted; 0 unless one burst is longer than the recorder. */
  readonly lost: number;
}

export type CoverageKind = Exclude<keyof CoverageReport, "lost">;
export const COVERAGE_KINDS: readonly CoverageKind[] = ["policyRules", "services", "routes", "iptables"];

/** Steps kept between two readings; the lab reads after every burst. */
const CAPACITY = 1 << 15;

type Counts = Map<string, number>;

/**
 * Counts from the moment `lab.coverage()` gave it until `stop()`. A rewind keeps what was counted; a fork is a lab of its
 * own and is not counted.
 *
 * @example
 * const coverage = lab.coverage();
 * lab.tcp({ from: "pod/a", to: "service/web", port: 80 });
 * coverage.report().policyRules.filter((r) => r.hits === 0); // never tried
 * console.log(coverageText(coverage.report()));
 */
export class Coverage {
  readonly recorder: StepRecorder;
  readonly #hits: Record<CoverageKind, Counts> = {
    policyRules: new Map(),
    services: new Map(),
    routes: new Map(),
    iptables: new Map(),
  };
  readonly #texts = new WeakMap<XtRule, string>();
  #lost = 0;

  /** Made by `lab.coverage()`; `detach` is called by `stop()`. */
  constructor(
    private readonly lab: Lab,
    private readonly detach: () => void,
  ) {
    this.recorder = new StepRecorder(lab.clock, CAPACITY);
  }

  /** Ends counting; the report stays. */
  stop(): void {
    this.read();
    this.detach();
  }

  /** Counts what the recorder holds, and empties it. */
  read(): void {
    if (this.recorder.written === 0) return;
    this.#lost += this.recorder.lost;
    this.count(this.recorder.records());
    this.recorder.clear();
  }

  /** Counts records of another recorder, those of `lab.record()`. */
  count(records: readonly StepRecord[]): void {
    const nodes = new Map(this.lab.cluster.nodes.map((n) => [n.machine.ns.id, n.name]));
    for (const r of records) {
      const node = nodes.get(r.netns);
      switch (r.kind) {
        case Step.POLICY:
          if (node !== undefined) this.#policy(node, r);
          break;
        case Step.SERVICE:
          this.#chosen(r);
          break;
        case Step.IPVS:
          if (r.a === 1 && r.ref instanceof IpVsConn)
            this.#service(r, `${formatIpv4(r.ref.daddr)}:${r.ref.dport}`);
          break;
        case Step.NF_RULE:
          if (node === undefined || !(r.ref instanceof XtRule)) break;
          bump(this.#hits.iptables, `${node} ${this.#textOf(r.ref)}`);
          if (r.ref.owner?.name.startsWith("KUBE-SEP-") === true && r.ref.verdictName === "DNAT")
            this.#service(r, /--to-destination (\S+)/.exec(r.ref.text)?.[1] ?? "");
          break;
        case Step.FIB:
          if (node !== undefined && r.b !== 3 && r.a === 0)
            bump(this.#hits.routes, `${node} ${routeOfRecord(r)}`);
          break;
        default:
          break;
      }
    }
  }

  /** What there is in the lab now, with what was counted, and what was counted of things that are gone. */
  report(): CoverageReport {
    this.read();
    const lists: Record<CoverageKind, Inventory> = {
      policyRules: this.#policyRules(),
      services: this.#services(),
      routes: new Map(),
      iptables: new Map(),
    };
    for (const { name, ns } of this.#machines()) {
      for (const t of ns.fib.tables.values()) {
        for (const fa of t.routes()) if (fa.table !== RT_TABLE_LOCAL) add(lists.routes, name, routeText(fa));
      }
      for (const rule of rulesOf(ns)) add(lists.iptables, name, ruleText(rule));
    }
    const items = (kind: CoverageKind): CoverageItem[] => {
      const hits = this.#hits[kind];
      for (const [key, n] of hits)
        if (n > 0 && !lists[kind].has(key)) {
          const at = key.indexOf(" ");
          lists[kind].set(key, { where: key.slice(0, at), name: key.slice(at + 1), position: undefined });
        }
      return [...lists[kind]].map(([key, item]) => ({
        where: item.where,
        name: item.name,
        hits: hits.get(key) ?? 0,
        position: item.position,
      }));
    };
    return {
      policyRules: items("policyRules"),
      services: items("services"),
      routes: items("routes"),
      iptables: items("iptables"),
      lost: this.#lost,
    };
  }

  /** Texts are made once: a rule does not change. */
  #textOf(rule: XtRule): string {
    let text = this.#texts.get(rule);
    if (text === undefined) {
      text = ruleText(rule);
      this.#texts.set(rule, text);
    }
    return text;
  }

  #machines(): { name: string; ns: Netns }[] {
    return this.lab.cluster.nodes.map((n) => ({ name: n.name, ns: n.machine.ns }));
  }

  // --- policy rules -------------------------------------------------------------------------------------------------------

  /** The rules behind the entry that decided. */
  #policy(node: string, r: StepRecord): void {
    const plane = this.lab.cluster;
    if (!(plane instanceof CiliumPlane) || !(r.ref instanceof BpfMap) || r.c === NONE) return;
    const id = Number(/_(\d+)$/.exec(r.ref.spec.name)?.[1]);
    const policy = plane.nodes.find((n) => n.name === node)?.endpoints.get(id)?.policy;
    if (policy === undefined) return;
    const key = toHex(r.ref.keyBytes(r.c));
    const entry = asWritten(policy.entries).find((e) => toHex(keyBytes(e.key)) === key);
    const rules = new Set(entry?.origins.filter((o) => o.kind !== undefined).map(ruleName));
    for (const name of rules) bump(this.#hits.policyRules, ` ${name}`);
  }

  #policyRules(): Inventory {
    const out: Inventory = new Map();
    const plane = this.lab.cluster;
    if (plane instanceof CiliumPlane)
      for (const { origin } of plane.policies.rules) add(out, "", ruleName(origin), origin.position);
    return out;
  }

  // --- services -----------------------------------------------------------------------------------------------------------

  /** A program chose a backend: the frontend is the one with that reverse NAT index. */
  #chosen(r: StepRecord): void {
    const plane = this.lab.cluster;
    if (!(plane instanceof CiliumPlane)) return;
    const node = plane.nodes.find((n) => n.maps.cilium_lb4_backends_v3 === r.ref);
    if (node === undefined) return;
    const backends = node.maps.cilium_lb4_backends_v3;
    const services = node.maps.cilium_lb4_services_v2;
    const slot = backends.peek(new U32Key().set(r.a).words);
    if (slot === NONE) return;
    const backend = `${formatIpv4(backend4Address(backends, slot))}:${bswap16(backend4Port(backends, slot))}`;
    const key = new Lb4Key();
    for (let s = services.nextSlot(0); s !== NONE; s = services.nextSlot(s + 1)) {
      if (bswap16(svcRevNatIndex(services, s)) !== r.b) continue;
      key.words.set(new Int32Array(services.keyBytes(s).buffer));
      if (key.backend_slot !== 0 || key.dport === 0) continue;
      this.#hit(formatIpv4(key.address), bswap16(key.dport), key.proto, backend);
      return;
    }
  }

  /** A packet to a service's address, not translated yet, that goes to `backend`. */
  #service(r: StepRecord, backend: string): void {
    const level = decodeFrame(r.frame).levels[0];
    if (level?.ip !== undefined) this.#hit(level.ip.dst, portOf(level), level.ip.proto, backend);
  }

  #hit(address: string, port: number, proto: number, backend: string): void {
    const rest = `${port}/${proto === 6 ? "TCP" : proto === 17 ? "UDP" : "SCTP"}`;
    const all = this.#frontends();
    // Node ports have no address of their own.
    const f =
      all.find((x) => x.name === `${address}:${rest}`) ?? all.find((x) => x.name === `0.0.0.0:${rest}`);
    if (f === undefined) return;
    bump(this.#hits.services, ` ${f.text}`);
    bump(this.#hits.services, ` ${f.text} -> ${backend}`);
  }

  #frontends(): Frontend[] {
    const { model } = this.lab.cluster;
    const { frontends, backends } = readServices(model.objects, model.pods);
    return frontends
      .filter((f) => !f.address.includes(":"))
      .map((f) => {
        const service = `${f.service.namespace}/${f.service.name}`;
        const name = `${f.address}:${f.port}/${f.protocol}`;
        const own = (f.ownBackends ?? backends.get(service) ?? []).filter(
          (b) => b.protocol === f.protocol && (f.portName === "" || b.portNames.includes(f.portName)),
        );
        return {
          name,
          text: `${service} ${name} ${f.type}`,
          backends: own.map((b) => `${b.address}:${b.port}`),
          position: model.objects
            .find(
              (o) =>
                o.kind === "Service" &&
                o.metadata.name === f.service.name &&
                o.metadata.namespace === f.service.namespace,
            )
            ?.pos([]),
        };
      });
  }

  #services(): Inventory {
    const out: Inventory = new Map();
    for (const f of this.#frontends()) {
      add(out, "", f.text, f.position);
      for (const b of f.backends) add(out, "", `${f.text} -> ${b}`, f.position);
    }
    return out;
  }
}

interface Frontend {
  /** `10.96.0.10:80/TCP`. */
  readonly name: string;
  readonly text: string;
  readonly backends: readonly string[];
  readonly position: SourcePosition | undefined;
}

/** Everything there is, by `WHERE NAME`. */
type Inventory = Map<string, Omit<CoverageItem, "hits">>;

function add(list: Inventory, where: string, name: string, position?: SourcePosition): void {
  const key = `${where} ${name}`;
  if (!list.has(key)) list.set(key, { where, name, position });
}

function bump(counts: Counts, key: string, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

function ruleName(o: RuleOrigin): string {
  const name = o.namespace === "" ? o.name : `${o.namespace}/${o.name}`;
  return `${o.kind} ${name} ${o.direction} rule ${o.index + 1}${o.deny ? " (deny)" : ""}`;
}

/** A rule as iptables-save prints it, with its table. Two rules that read alike count as one. */
function ruleText(rule: XtRule): string {
  return `${rule.owner!.table.name}: -A ${rule.owner!.name} ${rule.text}`;
}

/** Rules of a namespace, table by table, chain by chain; none where nobody asked for tables yet. */
function rulesOf(ns: Netns): XtRule[] {
  const tables = [...(ns.nf?.xt?.tables.values() ?? [])];
  return tables.flatMap((t) => [...t.chains.values()].flatMap((c) => c.rules));
}

function portOf(level: FrameLevel): number {
  return Number(level.fields.find((f) => f.name === "tcp.dport" || f.name === "udp.dport")?.value ?? 0);
}
