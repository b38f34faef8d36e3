// `podpath conformance policy PATH...`: policy objects compiled by us against what the agent of Cilium 1.19.4 compiled
// from them. Each record is one endpoint: map entries (as values and as bytes), enforcement, redirects, rules behind each
// entry, and the verdict of every probe. The format is described in facts/policy-compilation.md §0.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { PodpathError } from "../base/errors.js";
import { IdentityAllocator } from "../cluster/cilium/identity.js";
import { cidrGroupOf, type NodeAddress, resolveIpcache } from "../cluster/cilium/ipcache.js";
import type { PolicyConfig } from "../cluster/cilium/policy/config.js";
import { LabelSet } from "../cluster/cilium/policy/labels.js";
import {
  asWritten,
  entryFromBytes,
  keyBytes,
  labelLists,
  logValues,
  lookupPolicy,
  type PolicyVerdict,
  valueBytes,
} from "../cluster/cilium/policy/lookup.js";
import type { MapStateEntry } from "../cluster/cilium/policy/map_state.js";
import { type PolicyService, parsePolicies } from "../cluster/cilium/policy/parse.js";
import { lastPort } from "../cluster/cilium/policy/ports.js";
import {
  type EndpointPolicy,
  type NamedPort,
  PolicyConflict,
  type Redirect,
  resolvePolicy,
} from "../cluster/cilium/policy/resolve.js";
import { diffLines } from "./line_diff.js";
import { ConformanceReport, type ConformanceResult } from "./report.js";

/** An entry as recorded. */
interface RecordedEntry {
  readonly keyHex: string;
  readonly valueHex: string;
  readonly derivedFrom: readonly number[];
  readonly log?: readonly string[];
}

interface RecordedVerdict {
  readonly direction: "ingress" | "egress";
  readonly remoteIdentity: number;
  readonly protocol: number;
  readonly dport: number;
  readonly verdict: string;
  readonly matched: boolean;
  readonly precedence: number;
  readonly derivedFrom: readonly number[];
  readonly proxyPort?: number;
  readonly authType?: number;
  readonly log?: readonly string[];
  readonly audited?: boolean;
  readonly datapathVerdict?: unknown;
}

/** One record of the file. */
export interface PolicyRecord {
  readonly name: string;
  readonly description: string;
  readonly policies: readonly Readonly<Record<string, unknown>>[];
  readonly cidrGroups?: readonly Readonly<Record<string, unknown>>[];
  readonly services?: readonly PolicyService[];
  readonly dns?: Readonly<Record<string, readonly string[]>>;
  readonly clusterNamedPorts?: readonly (readonly NamedPort[])[];
  readonly nodes: readonly NodeAddress[];
  readonly subject: {
    readonly id: number;
    readonly labels: readonly string[];
    readonly namedPorts?: readonly NamedPort[];
  };
  readonly config: PolicyConfig;
  readonly identities: readonly { readonly id: number; readonly labels: readonly string[] }[];
  readonly ipcache: readonly { readonly prefix: string; readonly identity: number }[];
  readonly rejected?: readonly { readonly index: number; readonly error: string }[];
  readonly resolveError?: string;
  readonly ingressEnforced: boolean;
  readonly egressEnforced: boolean;
  readonly redirects?: readonly Redirect[];
  readonly map: readonly RecordedEntry[];
  readonly alternativeMaps?: readonly (readonly RecordedEntry[])[];
  readonly verdicts: readonly RecordedVerdict[];
  readonly ruleLabels: readonly (readonly string[])[];
}

/** Runs files, or folders of `policy-*.jsonl`, and writes what differs. @throws PodpathError IO, VECTOR_INVALID */
export function runPolicyVectors(paths: readonly string[], write: (text: string) => void): ConformanceResult {
  const report = new ConformanceReport(write);
  for (const file of filesOf(paths)) {
    readLines(file).forEach((line, i) => {
      if (line.trim() === "") return;
      let record: PolicyRecord;
      try {
        record = JSON.parse(line) as PolicyRecord;
      } catch {
        throw new PodpathError("VECTOR_INVALID", "not a JSON object", { file, line: i + 1, column: 1 });
      }
      const { mismatches, notes } = checkPolicyRecord(record);
      const name = `${file}:${i + 1}: ${record.name} (${record.description})`;
      if (mismatches.length > 0) report.fail(name, [...mismatches, ...notes].join("\n"));
      else {
        report.pass();
        if (notes.length > 0) write(`NOTE ${name}\n${notes.map((n) => `  ${n}\n`).join("")}`);
      }
    });
  }
  return report.finish();
}

function filesOf(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    try {
      if (!statSync(path).isDirectory()) return [path];
      return readdirSync(path)
        .filter((f) => /^policy-.*\.jsonl$/.test(f))
        .sort()
        .map((f) => join(path, f));
    } catch (e) {
      throw new PodpathError("IO", `cannot read ${path}: ${e instanceof Error ? e.message : String(e)}`);
    }
  });
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n");
  } catch (e) {
    throw new PodpathError("IO", `cannot read ${file}: ${e instanceof Error ? e.message : String(e)}`);
  }
}

/** What of one record comes out differently. */
export interface PolicyRecordCheck {
  /** Verdict-relevant: map entries, enforcement, which objects are refused, verdicts. */
  readonly mismatches: readonly string[];
  /** The rest: texts of errors, numbers of local identities, redirects, rules and log values behind entries. */
  readonly notes: readonly string[];
}

/** Compiles one record and compares everything in it. */
export function checkPolicyRecord(r: PolicyRecord): PolicyRecordCheck {
  const out: string[] = [];
  const notes: string[] = [];
  const parsed = parsePolicies(
    r.policies.map((object) => ({ object })),
    r.config,
    r.services ?? [],
  );
  section(
    out,
    "rejected objects",
    (r.rejected ?? []).map((x) => `#${x.index}`),
    parsed.rejected.map((x) => `#${x.index}`),
  );
  section(
    notes,
    "messages of rejected objects",
    (r.rejected ?? []).map((x) => `#${x.index}: ${x.error}`),
    parsed.rejected.map((x) => {
      const text = x.stage === "decode" ? `decode: ${x.error}` : x.error;
      // The two kinds in "combining A and B" come in the order of a Go map.
      const recorded = r.rejected?.find((e) => e.index === x.index)?.error;
      return `#${x.index}: ${recorded !== undefined && sameWords(recorded, text) ? recorded : text}`;
    }),
  );
  section(notes, "identities and ipcache", ...allocation(r, parsed.rules));

  let policy: EndpointPolicy | undefined;
  let conflict: string | undefined;
  try {
    policy = resolvePolicy(
      parsed.rules,
      {
        identity: r.subject.id,
        labels: LabelSet.parse(r.subject.labels),
        isHost: r.subject.id === 1,
        namedPorts: r.subject.namedPorts ?? [],
      },
      {
        config: r.config,
        identities: new Map(r.identities.map((i) => [i.id, LabelSet.parse(i.labels)])),
        clusterNamedPorts: r.clusterNamedPorts ?? [],
      },
    );
  } catch (e) {
    if (!(e instanceof PolicyConflict)) throw e;
    conflict = e.message;
  }
  const conflicts = (e: string | undefined): string[] => [
    e === undefined ? "rules can be merged" : "rules conflict",
  ];
  section(out, "resolution", conflicts(r.resolveError), conflicts(conflict));
  section(notes, "resolve error", optional(r.resolveError), optional(conflict));
  if (policy === undefined || r.resolveError !== undefined) return { mismatches: out, notes };

  section(
    out,
    "enforcement",
    [`ingress ${r.ingressEnforced}, egress ${r.egressEnforced}`],
    [`ingress ${policy.ingressEnforced}, egress ${policy.egressEnforced}`],
  );
  const written = asWritten(policy.entries);
  const ours = written.map(ourEntry);
  const recorded = [r.map, ...(r.alternativeMaps ?? [])];
  const maps = recorded.map((m) => m.map((e) => entryText(fromHex(e), e.keyHex, e.valueHex)));
  const which = maps.findIndex((m) => m.join("\n") === ours.join("\n"));
  if (which < 0) {
    // Shown against the nearest of the accepted maps.
    const diffs = maps.map((m) => diffLines(m, ours));
    out.push("map:", ...diffs.reduce((a, b) => (b.length < a.length ? b : a)).map((l) => `  ${l}`));
  } else {
    section(
      notes,
      "rules behind the entries",
      recorded[which]!.map(
        (e, i) => `${maps[which]![i]} ${originText(labelsOf(e.derivedFrom, r), e.log ?? [])}`,
      ),
      written.map((e, i) => `${ours[i]} ${originText(ourLabels(e.origins), logValues(e.origins))}`),
    );
  }

  // The recorded map's bytes, looked up by us, must give the recorded verdicts; and so must our own map, unless the agent
  // itself had several outcomes and ours is another of them.
  const bytes = r.map.map(fromHex);
  for (const v of r.verdicts) {
    const probe = { direction: v.direction, identity: v.remoteIdentity, protocol: v.protocol, port: v.dport };
    const name = `${v.direction} identity ${v.remoteIdentity} protocol ${v.protocol} port ${v.dport}`;
    // On bytes, the answer is the datapath's where that is another one than the agent's.
    const onBytes = v.datapathVerdict ?? v.verdict;
    const word = typeof onBytes === "string" ? onBytes : (onBytes as RecordedVerdict).verdict;
    section(out, `verdict on the recorded map: ${name}`, [word], [lookupPolicy(bytes, probe).verdict]);
    if (which > 0) continue;
    const got = lookupPolicy(policy.entries, probe);
    section(out, `verdict: ${name}`, [recordedVerdict(v)], [ourVerdict(got, r.config)]);
    section(
      notes,
      `rules behind the verdict: ${name}`,
      [originText(labelsOf(v.derivedFrom, r), v.log ?? [])],
      [originText(ourLabels(got.entry?.origins ?? []), logValues(got.entry?.origins ?? []))],
    );
    section(out, `verdict on our bytes: ${name}`, [word], [lookupPolicy(written, probe).verdict]);
  }
  if (which <= 0) {
    const texts = (l: readonly Redirect[]): string[] => l.map(redirectText).sort();
    section(notes, "redirects", texts(r.redirects ?? []), texts(policy.redirects));
  }
  return { mismatches: out, notes };
}

function recordedVerdict(v: RecordedVerdict): string {
  return verdictText(
    v.verdict,
    v.matched,
    v.precedence,
    v.proxyPort ?? 0,
    v.authType ?? 0,
    v.audited ?? false,
  );
}

function ourVerdict(v: PolicyVerdict, config: PolicyConfig): string {
  const audited = v.verdict === "denied" && config.policyAuditMode;
  const precedence = v.entry?.value.precedence ?? 0;
  return verdictText(v.verdict, v.entry !== undefined, precedence, v.proxyPort, v.authType, audited);
}

function verdictText(
  verdict: string,
  matched: boolean,
  precedence: number,
  proxyPort: number,
  authType: number,
  audited: boolean,
): string {
  return `${verdict}${matched ? "" : " (no entry)"} precedence ${hex(precedence)} proxy ${proxyPort} auth ${authType}${audited ? " audited" : ""}`;
}

function labelsOf(indices: readonly number[], r: PolicyRecord): string[] {
  return indices.map((i) => r.ruleLabels[i]!.join(","));
}

function ourLabels(origins: MapStateEntry["origins"]): string[] {
  return labelLists(origins).map((l) => l.join(","));
}

function originText(rules: readonly string[], log: readonly string[]): string {
  return `rules [${[...rules].sort().join(" | ")}] log [${log.join(", ")}]`;
}

function ourEntry(e: MapStateEntry): string {
  return entryText(e, toHex(keyBytes(e.key)), toHex(valueBytes(e.key, e.value)));
}

function entryText(e: MapStateEntry, keyHex: string, valueHex: string): string {
  const k = e.key;
  const v = e.value;
  const ports = `${k.port}-${lastPort({ port: k.port, prefixLen: k.portPrefixLen })}`;
  const decision = v.deny ? "deny" : v.proxyPort === 0 ? "allow" : `proxy ${v.proxyPort}`;
  const auth = v.authType !== 0 || v.authExplicit ? ` auth ${v.authType}${v.authExplicit ? "!" : ""}` : "";
  return `${k.direction} identity ${k.identity} protocol ${k.protocol} ports ${ports}: ${decision} precedence ${hex(v.precedence)}${auth} (${keyHex} ${valueHex})`;
}

function fromHex(e: RecordedEntry): MapStateEntry {
  return entryFromBytes(bytesOf(e.keyHex), bytesOf(e.valueHex));
}

/** Label sets and prefixes that we allocate ourselves from policies, nodes, groups and DNS data. */
function allocation(r: PolicyRecord, rules: ReturnType<typeof parsePolicies>["rules"]): [string[], string[]] {
  const isLocal = (id: number): boolean => id >= 0x01000000;
  const allocator = new IdentityAllocator(
    r.identities
      .filter((i) => !isLocal(i.id) && i.id > 10)
      .map((i) => ({ id: i.id, labels: LabelSet.parse(i.labels) })),
  );
  const ipcache = resolveIpcache(
    {
      config: r.config,
      rules,
      nodes: r.nodes,
      cidrGroups: (r.cidrGroups ?? []).map(cidrGroupOf),
      dns: r.dns ?? {},
    },
    allocator,
  );
  const text = (id: number, labels: readonly string[]): string => `identity ${id}: ${labels.join(" ")}`;
  const expected = r.identities
    .filter((i) => isLocal(i.id) || i.id === 1)
    .map((i) => text(i.id, LabelSet.parse(i.labels).texts));
  const actual = [...allocator.all]
    .filter(([id]) => isLocal(id) || id === 1)
    .map(([id, labels]) => text(id, labels.texts));
  return [
    [...expected.sort(), ...r.ipcache.map((e) => `${e.prefix} -> ${e.identity}`).sort()],
    [...actual.sort(), ...ipcache.map((e) => `${e.prefix} -> ${e.identity}`).sort()],
  ];
}

function redirectText(x: Redirect): string {
  const listener = x.listener === undefined ? "" : ` listener ${x.listener}`;
  return `${x.direction} ${x.protocol} ${x.port} ${x.parser}${listener} -> ${x.proxy}:${x.proxyPort}`;
}

function section(out: string[], title: string, expected: readonly string[], actual: readonly string[]): void {
  const lines = diffLines(expected, actual);
  if (lines.length > 0) out.push(`${title}:`, ...lines.map((l) => `  ${l}`));
}

function optional(s: string | undefined): string[] {
  return s === undefined ? [] : [s];
}

function sameWords(a: string, b: string): boolean {
  return a.split(" ").sort().join(" ") === b.split(" ").sort().join(" ");
}

function hex(n: number): string {
  return n.toString(16).padStart(8, "0");
}

function toHex(b: Uint8Array): string {
  return [...b].map((x) => x.toString(16).padStart(2, "0")).join("");
}

function bytesOf(hexText: string): Uint8Array {
  const out = new Uint8Array(hexText.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(hexText.slice(2 * i, 2 * i + 2), 16);
  return out;
}
