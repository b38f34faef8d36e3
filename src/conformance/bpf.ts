// `podpath conformance bpf PATH...`: packets given to our programs, compared with what the released BPF programs did in
// the kernel (FORMAT.md of the vectors): return code, packet, skb fields, redirects, FIB look-ups, tunnel key, random
// numbers used, samples byte for byte in order, and the complete state maps after every step.
//
// Only one thing is not compared: the source line in metrics and drop samples of a place whose line we do not know
// (line 0 on our side). Its file must agree.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { CiliumMaps } from "../../maps/cilium_maps.js";
import { createDatapath, type NodeDatapath } from "../../programs/datapath.js";
import { VirtualClock } from "../base/clock.js";
import { PodpathError } from "../base/errors.js";
import type { Program } from "../bpf/program.js";
import { Skb } from "../bpf/skb.js";
import { fromHex, toHex } from "../net/view.js";
import { BpfConfigs } from "./bpf_config.js";
import { type HelperScript, RecordedHelpers, type RecordedRedirect } from "./bpf_helpers.js";
import { ConformanceReport, type ConformanceResult } from "./report.js";

interface HexEntry {
  readonly key: string;
  readonly value: string;
}

interface MapOp extends HexEntry {
  readonly map: string;
  readonly op: "put" | "delete";
}

interface Step extends HelperScript {
  readonly name: string;
  readonly hook: string;
  readonly program: string;
  readonly endpoint?: number;
  readonly device?: string;
  readonly map_ops?: readonly MapOp[];
  readonly packet_in: string;
  readonly packet_out: string;
  readonly ctx_in: {
    readonly ifindex: number;
    readonly ingress_ifindex: number;
    readonly mark: number;
    readonly priority: number;
    readonly cb?: readonly number[];
  };
  readonly ctx_out?: {
    readonly mark: number;
    readonly priority: number;
    readonly cb: readonly number[];
    readonly tstamp: number;
  };
  readonly prandom_used: number;
  readonly ret: number;
  readonly redirects: readonly RecordedRedirect[];
  readonly tunnel_key?: { readonly flags: number; readonly hex: string };
  readonly tunnel_opt?: string | { readonly hex: string };
  readonly xdp_meta?: string;
  readonly events: readonly { readonly hex: string }[];
  readonly maps_after?: Readonly<Record<string, readonly HexEntry[]>>;
}

interface Scenario {
  readonly format: number;
  readonly id: string;
  readonly config: string;
  readonly maps_in: Readonly<Record<string, readonly HexEntry[]>>;
  readonly steps: readonly Step[];
}

/** State maps: empty at the start, dumped where they changed. */
const STATE_MAPS = [
  "cilium_ct4_global",
  "cilium_ct_any4_global",
  "cilium_ct6_global",
  "cilium_ct_any6_global",
  "cilium_snat_v4_external",
  "cilium_snat_v6_external",
  "cilium_ipv4_frag_datagrams",
  "cilium_ipv6_frag_datagrams",
  "cilium_lb4_affinity",
  "cilium_lb6_affinity",
  "cilium_nodeport_neigh4",
  "cilium_nodeport_neigh6",
  "cilium_metrics",
  "cilium_policystats",
] as const;

/** Sizes of maps that configurations name. */
const SIZES: readonly (readonly [string, readonly string[]])[] = [
  ["CT_MAP_SIZE_TCP", ["cilium_ct4_global", "cilium_ct6_global"]],
  ["CT_MAP_SIZE_ANY", ["cilium_ct_any4_global", "cilium_ct_any6_global"]],
  ["SNAT_MAPPING_IPV4_SIZE", ["cilium_snat_v4_external"]],
  ["SNAT_MAPPING_IPV6_SIZE", ["cilium_snat_v6_external"]],
];

/** Vectors of a run: every .jsonl below the paths. */
function vectorFiles(paths: readonly string[]): string[] {
  const out: string[] = [];
  for (const p of paths) {
    let dir: boolean;
    try {
      dir = statSync(p).isDirectory();
    } catch {
      throw new PodpathError("IO", `cannot read ${p}`);
    }
    if (!dir) {
      out.push(p);
      continue;
    }
    for (const name of readdirSync(p).sort()) {
      const path = join(p, name);
      if (statSync(path).isDirectory()) out.push(...vectorFiles([path]));
      else if (name.endsWith(".jsonl")) out.push(path);
    }
  }
  return out;
}

/** Runs every scenario of the files and folders; prints the mismatches and the tally. */
export function runBpfVectors(paths: readonly string[], write: (text: string) => void): ConformanceResult {
  const report = new ConformanceReport(write);
  for (const file of vectorFiles(paths)) {
    const configs = new BpfConfigs(file);
    let line = 0;
    for (const text of readFileSync(file, "utf8").split("\n")) {
      line++;
      if (text.trim() === "") continue;
      let scenario: Scenario;
      try {
        scenario = JSON.parse(text) as Scenario;
      } catch {
        throw new PodpathError("VECTOR_INVALID", "not a JSON record", { file, line, column: 1 });
      }
      if (scenario.format !== 1 || !Array.isArray(scenario.steps)) {
        throw new PodpathError("VECTOR_INVALID", "not a datapath record of format 1", {
          file,
          line,
          column: 1,
        });
      }
      const problem = runScenario(scenario, configs);
      if (problem === null) report.pass();
      else report.fail(scenario.id, problem);
    }
  }
  return report.finish();
}

/** A simulated node with everything loaded that a configuration has. */
class Node {
  readonly clock = new VirtualClock();
  readonly maps: CiliumMaps;
  readonly helpers = new RecordedHelpers();
  readonly datapath: NodeDatapath;
  readonly skb = new Skb();
  /** Programs by hook and device or endpoint: `from-container:1001`, `to-netdev:eth0`. */
  readonly programs = new Map<string, Program>();

  constructor(name: string, configs: BpfConfigs) {
    const config = configs.compile(name);
    const sizes: Record<string, number> = {};
    const types: Record<string, "hash"> = {};
    // The "h" in "fullh": the tables were created as plain hash maps.
    const plain = /^fullh-/.test(name);
    for (const [define, maps] of SIZES) {
      const size = configs.define(name, define);
      for (const map of maps) {
        if (size !== null) sizes[map] = Number(size);
        if (plain) types[map] = "hash";
      }
    }
    this.maps = new CiliumMaps({
      clock: this.clock,
      cpus: 2,
      sizes,
      types,
      maglevTableSize: config.LB_MAGLEV_LUT_SIZE,
    });
    this.maps.cilium_events.enabled = true;
    this.datapath = createDatapath({ config, maps: this.maps, helpers: this.helpers });
    for (const [device, vars] of configs.load(name)) {
      if (device.startsWith("lxc")) {
        const p = this.datapath.loadLxc(vars);
        this.programs.set(`from-container:${vars.endpoint_id}`, p.from_container);
        this.programs.set(`to-container:${vars.endpoint_id}`, p.to_container);
      } else if (device === "cilium_vxlan" || device === "cilium_geneve") {
        const p = this.datapath.loadOverlay(vars);
        for (const d of ["cilium_vxlan", "cilium_geneve"]) {
          this.programs.set(`from-overlay:${d}`, p.from_overlay);
          this.programs.set(`to-overlay:${d}`, p.to_overlay);
        }
      } else if (device.startsWith("xdp") || device.endsWith("xdp")) {
        this.programs.set("xdp:eth0", this.datapath.loadXdp(vars).xdp_entry);
      } else {
        const p = this.datapath.loadHost(vars);
        this.programs.set(`from-netdev:${device}`, p.from_netdev);
        this.programs.set(`to-netdev:${device}`, p.to_netdev);
        this.programs.set(`from-host:${device}`, p.from_host);
        this.programs.set(`to-host:${device}`, p.to_host);
        if (config.ENABLE_NODEPORT_ACCELERATION && !this.programs.has(`xdp:${device}`)) {
          this.programs.set(`xdp:${device}`, this.datapath.loadXdp(vars).xdp_entry);
        }
      }
    }
    // cil_host_policy is the one of cilium_host wherever it was loaded last.
  }

  /** Writes an entry as the agent would. */
  put(map: string, key: string, value: string): void {
    const k = fromHex(key)!;
    const v = fromHex(value)!;
    const nested = this.maps.nestedByName(map);
    if (nested !== undefined) {
      const inner = this.maps.newInner(nested, `${map}_inner`);
      inner.set(new Uint8Array(4), v);
      const words = new Int32Array(1);
      new Uint8Array(words.buffer).set(k);
      nested.update(words, inner, 0);
      return;
    }
    const m = this.maps.byName(map);
    if (m === undefined) throw new PodpathError("VECTOR_INVALID", `unknown map ${map}`);
    // Some recordings carry keys with their trailing padding or without.
    m.set(sized(k, m.spec.keySize), sized(v, m.spec.valueSize));
  }

  remove(map: string, key: string): void {
    const m = this.maps.byName(map);
    if (m === undefined) throw new PodpathError("VECTOR_INVALID", `unknown map ${map}`);
    m.delete(sized(fromHex(key)!, m.spec.keySize));
  }
}

function sized(bytes: Uint8Array, size: number): Uint8Array {
  if (bytes.length === size) return bytes;
  const out = new Uint8Array(size);
  out.set(bytes.subarray(0, size));
  return out;
}

/** Null if every step agrees, else what did not. */
function runScenario(scenario: Scenario, configs: BpfConfigs): string | null {
  const node = new Node(scenario.config, configs);
  for (const [map, entries] of Object.entries(scenario.maps_in)) {
    for (const e of entries) node.put(map, e.key, e.value);
  }
  const expected = new Map<string, readonly HexEntry[]>();
  for (const step of scenario.steps) {
    const problems = runStep(node, step, expected);
    if (problems.length > 0) return `step "${step.name}" (${step.hook})\n${problems.join("\n")}`;
  }
  return null;
}

function runStep(node: Node, step: Step, expected: Map<string, readonly HexEntry[]>): string[] {
  const problems: string[] = [];
  for (const op of step.map_ops ?? []) {
    if (op.op === "put") node.put(op.map, op.key, op.value);
    else node.remove(op.map, op.key);
    if (expected.has(op.map)) {
      const rest = expected.get(op.map)!.filter((e) => e.key !== op.key);
      if (op.op === "put") rest.push({ key: op.key, value: op.value });
      expected.set(op.map, rest);
    }
  }
  const which =
    step.endpoint === undefined || step.hook === "to-netdev" ? step.device : String(step.endpoint);
  const program = node.programs.get(`${step.hook}:${which}`);
  if (program === undefined) return [`no program for ${step.hook} of ${which}`];

  node.clock.set(step.now_ns);
  node.helpers.begin(step);
  const skb = node.skb;
  skb.reset();
  skb.setFrame(fromHex(step.packet_in)!);
  skb.ifindex = step.ctx_in.ifindex;
  skb.ingressIfindex = step.ctx_in.ingress_ifindex;
  skb.mark = step.ctx_in.mark | 0;
  skb.priority = step.ctx_in.priority;
  skb.protocol = skb.len >= 14 ? skb.view.getUint16(skb.data + 12, false) : 0;
  if (step.ctx_in.cb !== undefined) skb.cb.set(step.ctx_in.cb);
  const ret = program.run(skb);

  compare(problems, "return code", step.ret, ret);
  compare(problems, "packet", step.packet_out, toHex(skb.frame()));
  if (step.ctx_out !== undefined) {
    compare(problems, "mark", hex32(step.ctx_out.mark), hex32(skb.mark));
    compare(problems, "priority", step.ctx_out.priority, skb.priority);
    compare(problems, "cb", step.ctx_out.cb.map(hex32).join(" "), [...skb.cb].map(hex32).join(" "));
    compare(problems, "tstamp", step.ctx_out.tstamp, skb.tstamp[0]);
  }
  if (step.xdp_meta !== undefined) {
    const meta = new Uint8Array(new Int32Array([skb.xdpMeta]).buffer);
    compare(problems, "xdp metadata", step.xdp_meta, toHex(meta));
  }
  compare(problems, "redirects", redirectsText(step.redirects), redirectsText(node.helpers.redirects));
  compare(problems, "FIB look-ups", fibText(step.fib_lookups), fibText(node.helpers.fib));
  const key = node.helpers.tunnelKey;
  compare(problems, "tunnel key", keyText(step.tunnel_key ?? null), keyText(key));
  const opt = step.tunnel_opt;
  compare(
    problems,
    "tunnel options",
    opt === undefined ? "none" : typeof opt === "string" ? opt : opt.hex,
    node.helpers.tunnelOpt ?? "none",
  );
  compare(problems, "random numbers", step.prandom_used, node.helpers.prandomUsed);
  compareEvents(problems, step.events, node);
  compareMaps(problems, step, expected, node);
  return problems;
}

function compare(problems: string[], what: string, expected: string | number, actual: string | number): void {
  if (expected === actual) return;
  problems.push(`${what}:\n  expected ${expected}\n  actual   ${actual}`);
}

function hex32(n: number): string {
  return `0x${(n >>> 0).toString(16)}`;
}

function redirectsText(r: readonly RecordedRedirect[]): string {
  return r
    .map((x) => `${x.kind}(${x.ifindex}, ${x.flags}${x.nh === undefined ? "" : `, ${x.nh_family} ${x.nh}`})`)
    .join(" ");
}

function fibText(
  f: readonly { readonly flags: number; readonly in: string; readonly out: string; readonly ret: number }[],
): string {
  return f.map((x) => `flags=${x.flags} in=${x.in} out=${x.out} ret=${x.ret}`).join("; ");
}

function keyText(k: { readonly flags: number; readonly hex: string } | null): string {
  return k === null ? "none" : `${k.hex} flags=${k.flags}`;
}

function compareEvents(problems: string[], recorded: readonly { readonly hex: string }[], node: Node): void {
  const ours: string[] = [];
  node.maps.cilium_events.read((sample) => ours.push(toHex(sample)));
  const n = Math.max(recorded.length, ours.length);
  for (let i = 0; i < n; i++) {
    const want = recorded[i]?.hex;
    // The ring pads samples with zeros; recordings are without.
    let got = ours[i];
    if (want !== undefined && got !== undefined) {
      if (/^0*$/.test(got.slice(want.length))) got = got.slice(0, want.length);
      // Drop samples: an unknown line of ours (offset 28, two bytes) takes theirs.
      if (got.startsWith("01") && got.slice(56, 60) === "0000") {
        got = got.slice(0, 56) + want.slice(56, 60) + got.slice(60);
      }
    }
    if (want !== got) {
      problems.push(`event ${i}:\n  expected ${want ?? "none"}\n  actual   ${got ?? "none"}`);
      if (problems.length > 8) return;
    }
  }
}

function compareMaps(
  problems: string[],
  step: Step,
  expected: Map<string, readonly HexEntry[]>,
  node: Node,
): void {
  if (step.maps_after === undefined) return;
  for (const [name, entries] of Object.entries(step.maps_after)) expected.set(name, entries);
  for (const name of STATE_MAPS) {
    const want = new Map((expected.get(name) ?? []).map((e) => [e.key, e.value]));
    const got = new Map(
      node.maps
        .byName(name)!
        .dump()
        .map((e) => [toHex(e.key), toHex(e.value)]),
    );
    if (name === "cilium_metrics") absorbUnknownLines(want, got);
    for (const [key, value] of want) {
      const ours = got.get(key);
      if (ours === undefined) problems.push(`${name}: missing ${key} = ${value}`);
      else if (ours !== value) problems.push(`${name}: ${key}\n  expected ${value}\n  actual   ${ours}`);
    }
    for (const [key, value] of got) {
      if (!want.has(key)) problems.push(`${name}: extra ${key} = ${value}`);
    }
  }
}

/**
 * Metrics of a place whose line we do not know (0) stand for the recorded ones of the same reason, direction and file
 * that we have no entry of our own for, as long as the sums agree.
 */
function absorbUnknownLines(want: Map<string, string>, got: Map<string, string>): void {
  for (const [key, value] of [...got]) {
    if (key.slice(4, 8) !== "0000") continue;
    const same = [...want.keys()].filter(
      (k) => !got.has(k) && k.slice(0, 4) === key.slice(0, 4) && k.slice(8) === key.slice(8),
    );
    let count = 0n;
    let bytes = 0n;
    for (const k of same) {
      const [c, b] = counters(want.get(k)!);
      count += c;
      bytes += b;
    }
    const [c, b] = counters(value);
    if (same.length === 0 || c !== count || b !== bytes) continue;
    got.delete(key);
    for (const k of same) want.delete(k);
  }
}

function counters(hex: string): [bigint, bigint] {
  const v = new DataView(fromHex(hex)!.buffer);
  return [v.getBigUint64(0, true), v.getBigUint64(8, true)];
}
