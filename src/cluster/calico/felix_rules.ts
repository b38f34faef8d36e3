// Felix's rules for iptables (felix/rules): the static chains that stand in every table, the chains of each pod with
// its policies by tier and its namespace's profile, and the chains of the policies themselves.
//
// Marks, as Felix takes them from its mask 0xffff0000: 0x10000 accepted, 0x20000 pass to the next tier, 0x40000 and
// 0x80000 scratch (a rule with more conditions than one iptables rule can hold; from a workload, in raw); the other twelve
// bits are felix_ipvs.ts's.
//
// Differs from Felix: no `cali:...` hash comment in front of each rule; Felix keeps these to find its own rules again. A
// dispatch chain lists its devices; Felix makes a tree of them by their first letters.

import type { CalicoConfig } from "./config.js";
import { IPVS_POSTROUTING, ipvsChains, ipvsInput, ipvsOutput } from "./felix_ipvs.js";
import { failsafeRules, type HostEndpoint, hostChainSuffix } from "./host_endpoints.js";
import { chainName, setName } from "./names.js";
import type {
  CalicoPolicy,
  Direction,
  EntityMatch,
  LabelledEndpoint,
  PolicyRule,
  PolicySet,
  PortMatch,
} from "./policy.js";
import { Table } from "./rule_table.js";
import { type Labels, parseSelector } from "./selector.js";

const ACCEPT = "0x10000/0x10000";
const PASS = "0x20000/0x20000";
const ALL_BLOCKS = "0x40000/0x40000";
const THIS_BLOCK = "0x80000/0x80000";
const HOST_ACCEPTED = `-m comment --comment "Host endpoint policy accepted packet." -m mark --mark ${ACCEPT}`;
/** The profile that lets all pass. */
const DEFAULT_ALLOW = "projectcalico-default-allow";
/** multiport takes 15 ports; a range counts twice. */
const MAX_PORTS = 15;

export const SET_ALL_POOLS = "cali40all-ipam-pools";
export const SET_MASQ_POOLS = "cali40masq-ipam-pools";
export const SET_ALL_HOSTS = "cali40all-hosts-net";
export const SET_ALL_VXLAN = "cali40all-vxlan-net";

/** A pod on the node. */
export interface Workload {
  readonly interfaceName: string;
  readonly labels: Labels;
  readonly namespace: string;
}

export interface FelixFacts {
  readonly config: CalicoConfig;
  readonly ipip: boolean;
  readonly vxlan: boolean;
  readonly workloads: readonly Workload[];
  /** kube-proxy runs in ipvs mode. */
  readonly kubeIpvs?: boolean;
  /** Those of the node; without any, nothing is written for them. */
  readonly hostEndpoints?: readonly HostEndpoint[];
}

export interface IpSetSpec {
  readonly name: string;
  readonly type: string;
  readonly members: readonly string[];
}

export interface FelixRules {
  /** Loaded first: Felix's jumps go before anybody else's (chainInsertMode Insert). */
  readonly text: string;
  /** Appended to FORWARD after everybody else's. */
  readonly appended: string;
  /** Sets of the policies, to be made before. */
  readonly sets: readonly IpSetSpec[];
}

/** All of Felix's rules for one node. */
export function felixRules(facts: FelixFacts, policies: PolicySet): FelixRules {
  const sets = new PolicySets(policies.endpoints, policies.services);
  const filter = new Table("filter");
  const w = facts.workloads;
  for (const c of ["cali-INPUT", "cali-FORWARD", "cali-OUTPUT"]) filter.chain(c);
  for (const c of ["cali-from-wl-dispatch", "cali-to-wl-dispatch", "cali-wl-to-host"]) filter.chain(c);
  const hosts = facts.hostEndpoints ?? [];
  const profiles = [...new Set([...w.map((x) => `kns.${x.namespace}`), ...hosts.flatMap((h) => h.profiles)])];
  for (const p of profiles) {
    filter.chain(chainName("cali-pro-", p));
    filter.chain(chainName("cali-pri-", p));
  }
  for (const x of w) {
    filter.chain(chainName("cali-fw-", x.interfaceName));
    filter.chain(chainName("cali-tw-", x.interfaceName));
  }
  filter.add("INPUT", "-j cali-INPUT");
  filter.add("FORWARD", "-j cali-FORWARD");
  filter.add("OUTPUT", "-j cali-OUTPUT");
  staticFilter(filter, facts);
  for (const x of w) {
    filter.add("cali-from-wl-dispatch", `-i ${x.interfaceName} -g ${chainName("cali-fw-", x.interfaceName)}`);
    filter.add("cali-to-wl-dispatch", `-o ${x.interfaceName} -g ${chainName("cali-tw-", x.interfaceName)}`);
  }
  filter.add("cali-from-wl-dispatch", '-m comment --comment "Unknown interface" -j DROP');
  filter.add("cali-to-wl-dispatch", '-m comment --comment "Unknown interface" -j DROP');
  const used = { ingress: new Set<CalicoPolicy>(), egress: new Set<CalicoPolicy>() };
  for (const x of w) {
    workloadChain(filter, x, "egress", policies, facts, used.egress);
    workloadChain(filter, x, "ingress", policies, facts, used.ingress);
  }
  if (hosts.length > 0) hostChains(filter, facts, policies, used);
  if (facts.kubeIpvs === true)
    ipvsChains(
      filter,
      w.map((x) => x.interfaceName),
      hosts.length > 0 ? hosts : undefined,
    );
  // Profiles of namespaces let all pass, and so does the one that Calico makes itself; others are not modelled.
  for (const name of profiles) {
    if (!name.startsWith("kns.") && name !== DEFAULT_ALLOW) continue;
    for (const p of ["cali-pro-", "cali-pri-"]) {
      const chain = chainName(p, name);
      filter.add(chain, `-j MARK --set-xmark ${ACCEPT}`);
      filter.add(chain, `-m mark --mark ${ACCEPT} -j RETURN`);
    }
  }
  policyChains(filter, policies, used, sets);
  const mangle = new Table("mangle");
  if (hosts.length > 0) preDnatChains(mangle, facts, policies, sets);
  return {
    text:
      STATIC_RAW + staticMangle(facts) + (hosts.length > 0 ? mangle.text() : "") + nat(facts) + filter.text(),
    appended: [
      "*filter",
      `-A FORWARD -m mark --mark ${ACCEPT} -j ACCEPT`,
      `-A FORWARD -j MARK --set-xmark ${ACCEPT}`,
      "COMMIT",
      "",
    ].join("\n"),
    sets: sets.specs(),
  };
}

/** Chains of the policies that somebody's chains of the table jump to. */
function policyChains(t: Table, policies: PolicySet, used: UsedPolicies, sets: PolicySets): void {
  for (const dir of ["ingress", "egress"] as const) {
    for (const p of policies.policies) {
      if (!used[dir].has(p)) continue;
      const chain = policyChain(p, dir);
      t.chain(chain);
      for (const r of p[dir]!) for (const text of ruleTexts(r, sets)) t.add(chain, text);
    }
  }
}

interface UsedPolicies {
  readonly ingress: Set<CalicoPolicy>;
  readonly egress: Set<CalicoPolicy>;
}

/** The text without Felix's jumps out of the built-in chains: loading it again empties and refills Felix's own chains. */
export function ownChainsOnly(text: string): string {
  return text.replace(/^-A (?:PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) .*\n/gm, "");
}

/** Chain of a policy in a direction: cali-pi- towards the pod, cali-po- from it. */
export function policyChain(p: CalicoPolicy, dir: Direction): string {
  return chainName(dir === "ingress" ? "cali-pi-" : "cali-po-", p.id);
}

const STATIC_RAW = `*raw
:cali-PREROUTING - [0:0]
:cali-OUTPUT - [0:0]
-A PREROUTING -j cali-PREROUTING
-A OUTPUT -j cali-OUTPUT
-A cali-PREROUTING -j MARK --set-xmark 0x0/0xf0000
-A cali-PREROUTING -i cali+ -j MARK --set-xmark 0x40000/0x40000
-A cali-PREROUTING -m mark --mark 0x40000/0x40000 -m rpfilter --validmark --invert -j DROP
-A cali-PREROUTING -m mark --mark 0x10000/0x10000 -j ACCEPT
-A cali-OUTPUT -j MARK --set-xmark 0x0/0xf0000
COMMIT
`;

const staticMangle = (facts: FelixFacts): string => `*mangle
:cali-PREROUTING - [0:0]
:cali-POSTROUTING - [0:0]
-A PREROUTING -j cali-PREROUTING
-A POSTROUTING -j cali-POSTROUTING
-A cali-PREROUTING -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A cali-PREROUTING -m mark --mark 0x10000/0x10000 -j ACCEPT
-A cali-POSTROUTING -m mark --mark 0x10000/0x10000 -j RETURN
${facts.kubeIpvs === true ? IPVS_POSTROUTING : ""}-A cali-POSTROUTING -j MARK --set-xmark 0x0/0xf0000
COMMIT
`;

function nat(facts: FelixFacts): string {
  const t = new Table("nat");
  for (const c of ["PREROUTING", "POSTROUTING", "OUTPUT", "fip-dnat", "fip-snat", "nat-outgoing"])
    t.chain(`cali-${c}`);
  t.add("PREROUTING", "-j cali-PREROUTING");
  t.add("OUTPUT", "-j cali-OUTPUT");
  t.add("POSTROUTING", "-j cali-POSTROUTING");
  t.add("cali-PREROUTING", "-j cali-fip-dnat");
  t.add("cali-OUTPUT", "-j cali-fip-dnat");
  t.add("cali-POSTROUTING", "-j cali-fip-snat");
  t.add("cali-POSTROUTING", "-j cali-nat-outgoing");
  // What leaves by a tunnel with another address of the node than the tunnel's: the way back would be another one.
  for (const dev of [...(facts.ipip ? ["tunl0"] : []), ...(facts.vxlan ? ["vxlan.calico"] : [])])
    t.add(
      "cali-POSTROUTING",
      `-o ${dev} -m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype --src-type LOCAL -j MASQUERADE`,
    );
  t.add(
    "cali-nat-outgoing",
    `-m set --match-set ${SET_MASQ_POOLS} src -m set ! --match-set ${SET_ALL_POOLS} dst -j MASQUERADE`,
  );
  return t.text();
}

function staticFilter(t: Table, facts: FelixFacts): void {
  const port = facts.config.vxlanPort;
  if (facts.ipip) {
    t.add(
      "cali-INPUT",
      `-p 4 -m comment --comment "Allow IPIP packets from Calico hosts" -m set --match-set ${SET_ALL_HOSTS} src -m addrtype --dst-type LOCAL -j ACCEPT`,
    );
    t.add("cali-INPUT", '-p 4 -m comment --comment "Drop IPIP packets from non-Calico hosts" -j DROP');
  }
  if (facts.vxlan) {
    t.add(
      "cali-INPUT",
      `-p udp -m comment --comment "Allow VXLAN packets from allowed hosts" -m multiport --dports ${port} -m set --match-set ${SET_ALL_VXLAN} src -m addrtype --dst-type LOCAL -j ACCEPT`,
    );
    t.add(
      "cali-INPUT",
      `-p udp -m comment --comment "Drop VXLAN packets from non-allowed hosts" -m multiport --dports ${port} -m addrtype --dst-type LOCAL -j DROP`,
    );
  }
  if (facts.kubeIpvs === true) ipvsInput(t);
  t.add("cali-INPUT", "-i cali+ -g cali-wl-to-host");
  t.add("cali-INPUT", `-m mark --mark ${ACCEPT} -j ACCEPT`);
  const hosts = (facts.hostEndpoints ?? []).length > 0;
  if (hosts) {
    t.add("cali-INPUT", "-j MARK --set-xmark 0x0/0xf0000");
    t.add("cali-INPUT", "-j cali-from-host-endpoint");
    t.add("cali-INPUT", `${HOST_ACCEPTED} -j ACCEPT`);
  }
  t.add("cali-wl-to-host", "-j cali-from-wl-dispatch");
  t.add(
    "cali-wl-to-host",
    `-m comment --comment "Configured DefaultEndpointToHostAction" -j ${facts.config.endpointToHost}`,
  );
  t.add("cali-FORWARD", "-j MARK --set-xmark 0x0/0xe0000");
  if (hosts) t.add("cali-FORWARD", "-m mark --mark 0x0/0x10000 -j cali-from-hep-forward");
  t.add("cali-FORWARD", "-i cali+ -j cali-from-wl-dispatch");
  t.add("cali-FORWARD", "-o cali+ -j cali-to-wl-dispatch");
  if (hosts) t.add("cali-FORWARD", "-j cali-to-hep-forward");
  t.add("cali-OUTPUT", `-m mark --mark ${ACCEPT} -j ACCEPT`);
  if (facts.kubeIpvs === true) ipvsOutput(t);
  t.add("cali-OUTPUT", "-o cali+ -j RETURN");
  if (facts.ipip)
    t.add(
      "cali-OUTPUT",
      `-p 4 -m comment --comment "Allow IPIP packets to other Calico hosts" -m set --match-set ${SET_ALL_HOSTS} dst -m addrtype --src-type LOCAL -j ACCEPT`,
    );
  if (facts.vxlan)
    t.add(
      "cali-OUTPUT",
      `-p udp -m comment --comment "Allow VXLAN packets to other allowed hosts" -m multiport --dports ${port} -m set --match-set ${SET_ALL_VXLAN} dst -m addrtype --src-type LOCAL -j ACCEPT`,
    );
  t.add("cali-OUTPUT", "-j MARK --set-xmark 0x0/0xf0000");
  if (!hosts) return;
  // What was translated leaves by a device that is not known yet.
  t.add("cali-OUTPUT", "-m conntrack ! --ctstate DNAT -j cali-to-host-endpoint");
  t.add("cali-OUTPUT", `${HOST_ACCEPTED} -j ACCEPT`);
}

/** cali-fw- (egress of the pod) or cali-tw- (ingress) with the tiers that apply to it. */
function workloadChain(
  t: Table,
  w: Workload,
  dir: Direction,
  policies: PolicySet,
  facts: FelixFacts,
  used: Set<CalicoPolicy>,
): void {
  const chain = chainName(dir === "egress" ? "cali-fw-" : "cali-tw-", w.interfaceName);
  beginEndpoint(t, chain);
  if (dir === "egress") {
    t.add(
      chain,
      `-p udp -m comment --comment "Drop VXLAN encapped packets originating in workloads" -m multiport --dports ${facts.config.vxlanPort} -j DROP`,
    );
    t.add(chain, '-p 4 -m comment --comment "Drop IPinIP encapped packets originating in workloads" -j DROP');
  }
  tiers(t, chain, dir, policies, (p) => !p.preDnat && p.selects(w.labels), used, true);
  endOfProfiles(t, chain, dir, [`kns.${w.namespace}`]);
}

/** What every endpoint's chain begins with: known connections, ports that stay open, a clean mark. */
function beginEndpoint(t: Table, chain: string, failsafe?: string): void {
  t.add(chain, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
  t.add(chain, "-m conntrack --ctstate INVALID -j DROP");
  if (failsafe !== undefined) t.add(chain, `-j ${failsafe}`);
  t.add(chain, "-j MARK --set-xmark 0x0/0x10000");
}

/** The policies of each tier; false if there are none. `drops`: what they all let by without a word is dropped. */
function tiers(
  t: Table,
  chain: string,
  dir: Direction,
  policies: PolicySet,
  applies: (p: CalicoPolicy) => boolean,
  used: Set<CalicoPolicy>,
  drops: boolean,
): boolean {
  let any = false;
  for (const tier of policies.tiers) {
    const mine = policies.policies.filter((p) => p.tier === tier.name && p[dir] !== undefined && applies(p));
    if (mine.length === 0) continue;
    any = true;
    t.add(chain, `-m comment --comment "Start of tier ${tier.name}" -j MARK --set-xmark 0x0/0x20000`);
    for (const p of mine) {
      used.add(p);
      t.add(chain, `-m mark --mark 0x0/0x20000 -j ${policyChain(p, dir)}`);
      t.add(chain, `-m comment --comment "Return if policy accepted" -m mark --mark ${ACCEPT} -j RETURN`);
    }
    if (drops && tier.defaultAction === "Deny")
      t.add(
        chain,
        `-m comment --comment "End of tier ${tier.name}. Drop if no policies passed packet" -m mark --mark 0x0/0x20000 -j DROP`,
      );
  }
  return any;
}

function endOfProfiles(t: Table, chain: string, dir: Direction, profiles: readonly string[]): void {
  for (const p of profiles) {
    t.add(chain, `-j ${chainName(dir === "egress" ? "cali-pro-" : "cali-pri-", p)}`);
    t.add(chain, `-m mark --mark ${ACCEPT} -j RETURN`);
  }
  t.add(chain, '-m comment --comment "Drop if no profiles matched" -j DROP');
}

// --- host endpoints ---------------------------------------------------------------------------------------------------

/** From a dispatch chain to the chains of the interfaces; the one of all interfaces comes last and is not for pods'. */
function dispatch(
  t: Table,
  from: string,
  flag: "i" | "o",
  prefix: string,
  hosts: readonly HostEndpoint[],
): void {
  t.chain(from);
  for (const h of hosts)
    if (h.interfaceName !== "*")
      t.add(from, `-${flag} ${h.interfaceName} -g ${chainName(prefix, hostChainSuffix(h))}`);
  const all = hosts.find((h) => h.interfaceName === "*");
  if (all === undefined) return;
  t.add(from, `-${flag} cali+ -j RETURN`);
  t.add(from, `-g ${chainName(prefix, hostChainSuffix(all))}`);
}

function failsafe(t: Table, name: "in" | "out", facts: FelixFacts): void {
  const chain = `cali-failsafe-${name}`;
  t.chain(chain);
  const ports = name === "in" ? facts.config.failsafeIn : facts.config.failsafeOut;
  for (const r of failsafeRules(ports, name === "in" ? "s" : "d")) t.add(chain, r);
}

/** The filter table: what the node receives and sends itself, and what it forwards. */
function hostChains(t: Table, facts: FelixFacts, policies: PolicySet, used: UsedPolicies): void {
  const hosts = facts.hostEndpoints!;
  const prefixes = ["cali-fh-", "cali-th-", "cali-fhfw-", "cali-thfw-"] as const;
  for (const h of hosts) for (const p of prefixes) t.chain(chainName(p, hostChainSuffix(h)));
  failsafe(t, "in", facts);
  failsafe(t, "out", facts);
  dispatch(t, "cali-from-host-endpoint", "i", "cali-fh-", hosts);
  dispatch(t, "cali-to-host-endpoint", "o", "cali-th-", hosts);
  dispatch(t, "cali-from-hep-forward", "i", "cali-fhfw-", hosts);
  dispatch(t, "cali-to-hep-forward", "o", "cali-thfw-", hosts);
  for (const h of hosts) {
    const selects = (p: CalicoPolicy): boolean => !p.preDnat && p.selects(h.labels);
    for (const [own, forward, open, dir] of [
      ["cali-th-", "cali-thfw-", "cali-failsafe-out", "egress"],
      ["cali-fh-", "cali-fhfw-", "cali-failsafe-in", "ingress"],
    ] as const) {
      const chain = chainName(own, hostChainSuffix(h));
      beginEndpoint(t, chain, open);
      tiers(t, chain, dir, policies, selects, used[dir], true);
      endOfProfiles(t, chain, dir, h.profiles);
      const fw = chainName(forward, hostChainSuffix(h));
      beginEndpoint(t, fw);
      if (tiers(t, fw, dir, policies, (p) => p.applyOnForward && selects(p), used[dir], true)) continue;
      t.add(fw, `-m comment --comment "Allow forwarded traffic by default" -j MARK --set-xmark ${ACCEPT}`);
      t.add(fw, '-m comment --comment "Return for accepted forward traffic" -j RETURN');
    }
  }
}

/** The mangle table: policies that see a packet before its address is translated; what they do not decide goes on. */
function preDnatChains(t: Table, facts: FelixFacts, policies: PolicySet, sets: PolicySets): void {
  const hosts = facts.hostEndpoints!;
  const used: UsedPolicies = { ingress: new Set(), egress: new Set() };
  for (const h of hosts) t.chain(chainName("cali-fh-", hostChainSuffix(h)));
  failsafe(t, "in", facts);
  t.add("cali-PREROUTING", "-j cali-from-host-endpoint");
  t.add("cali-PREROUTING", `${HOST_ACCEPTED} -j ACCEPT`);
  dispatch(t, "cali-from-host-endpoint", "i", "cali-fh-", hosts);
  for (const h of hosts) {
    const chain = chainName("cali-fh-", hostChainSuffix(h));
    beginEndpoint(t, chain, "cali-failsafe-in");
    tiers(t, chain, "ingress", policies, (p) => p.preDnat && p.selects(h.labels), used.ingress, false);
  }
  policyChains(t, policies, used, sets);
}

// --- policy rules -----------------------------------------------------------------------------------------------------

/** Sets that the rules of the policies ask for. */
class PolicySets {
  readonly #specs = new Map<string, IpSetSpec>();

  constructor(
    private readonly endpoints: readonly LabelledEndpoint[],
    private readonly services: PolicySet["services"],
  ) {}

  /** Endpoints of a service: addresses, or with `ports` address,protocol:port. */
  service(key: string, ports: boolean): string {
    const name = setName(ports ? "svc" : "svcnoport", key);
    if (!this.#specs.has(name)) {
      const all = (this.services?.get(key) ?? []).filter((e) => !e.address.includes(":"));
      const members = all.map((e) =>
        ports ? `${e.address},${e.protocol.toLowerCase()}:${e.port}` : e.address,
      );
      const type = ports ? "hash:ip,port" : "hash:net";
      this.#specs.set(name, { name, type: `${type} maxelem 1048576`, members: [...new Set(members)] });
    }
    return name;
  }

  specs(): IpSetSpec[] {
    return [...this.#specs.values()];
  }

  /** Addresses of the endpoints that a selector picks. */
  selector(text: string, pos: PolicyRule["pos"]): string {
    const name = setName("s", text);
    if (!this.#specs.has(name)) {
      const p = parseSelector(text, pos);
      const members = this.endpoints.filter((e) => p.matches(e.labels)).flatMap((e) => e.nets);
      this.#specs.set(name, { name, type: "hash:net maxelem 1048576", members: [...new Set(members)] });
    }
    return name;
  }

  /** address,protocol:port of a named port of the endpoints that a selector picks. */
  namedPort(port: string, protocol: string, selector: string, pos: PolicyRule["pos"]): string {
    const name = setName("n", `${selector}|${protocol}|${port}`);
    if (!this.#specs.has(name)) {
      const p = parseSelector(selector, pos);
      const members = this.endpoints
        .filter((e) => p.matches(e.labels))
        .flatMap((e) =>
          e.ports
            .filter((c) => c.name === port && c.protocol.toLowerCase() === protocol)
            .flatMap((c) => e.nets.map((n) => `${n},${protocol}:${c.containerPort}`)),
        );
      this.#specs.set(name, { name, type: "hash:ip,port maxelem 1048576", members: [...new Set(members)] });
    }
    return name;
  }
}

/** Alternatives of which one (positive) or none (negated) must hold. */
interface MatchBlock {
  readonly alternatives: readonly string[];
  readonly negated: boolean;
}

/** iptables rules of one policy rule, without the chain. */
export function ruleTexts(
  r: PolicyRule,
  sets: Pick<PolicySets, "selector" | "namedPort" | "service">,
): string[] {
  const out: string[] = [];
  let match = "";
  if (r.protocol !== undefined) match += ` -p ${r.protocol}`;
  else if (r.notProtocol !== undefined) match += ` ! -p ${r.notProtocol}`;
  const blocks: MatchBlock[] = [];
  let head = "";
  const nets = (e: EntityMatch, flag: string): void => {
    const all = e.nets.filter((n) => n !== "0.0.0.0/0");
    // A single prefix fits into the rule itself; 0.0.0.0/0 among several asks for nothing.
    if (e.nets.length === 1 && all.length === 1) head += ` -${flag} ${withLength(all[0]!)}`;
    else if (e.nets.length > 1 && all.length === e.nets.length)
      blocks.push({ alternatives: all.map((n) => `-${flag} ${withLength(n)}`), negated: false });
    if (e.notNets.length > 0)
      blocks.push({ alternatives: e.notNets.map((n) => `-${flag} ${withLength(n)}`), negated: true });
  };
  nets(r.source, "s");
  nets(r.destination, "d");
  let tail = "";
  const selectors = (e: EntityMatch, dir: string): void => {
    if (e.selector !== undefined) tail += ` -m set --match-set ${sets.selector(e.selector, r.pos)} ${dir}`;
    if (e.notSelector !== undefined)
      tail += ` -m set ! --match-set ${sets.selector(e.notSelector, r.pos)} ${dir}`;
  };
  selectors(r.source, "src");
  selectors(r.destination, "dst");
  if (r.source.service !== undefined)
    tail += ` -m set --match-set ${sets.service(r.source.service, false)} src`;
  if (r.destination.service !== undefined)
    tail += ` -m set --match-set ${sets.service(r.destination.service, true)} dst,dst`;
  const ports = (e: EntityMatch, dir: "src" | "dst"): void => {
    for (const [list, negated] of [
      [e.ports, false],
      [e.notPorts, true],
    ] as const) {
      if (list.length === 0) continue;
      const texts = portTexts(list, dir, r, e, sets);
      if (texts.length === 1) tail += negated ? ` ${negate(texts[0]!)}` : ` ${texts[0]}`;
      else {
        const proto = r.protocol === undefined ? "" : `-p ${r.protocol} `;
        blocks.push({ alternatives: texts.map((t) => proto + t), negated });
      }
    }
  };
  ports(r.source, "src");
  ports(r.destination, "dst");
  if (r.icmpType !== undefined)
    tail += ` -m icmp --icmp-type ${r.icmpType}${r.icmpCode === undefined ? "" : `/${r.icmpCode}`}`;

  if (blocks.length > 0) {
    // Each block sets or clears scratch marks; the rule itself then asks whether all of them held.
    const firstPositive = blocks[0]!.negated ? -1 : 0;
    out.push(`-j MARK --set-xmark ${firstPositive === 0 ? "0x0/0xc0000" : "0x40000/0xc0000"}`);
    blocks.forEach((b, i) => {
      if (b.negated) {
        for (const a of b.alternatives) out.push(`${a} -j MARK --set-xmark 0x0/0x40000`);
      } else if (i === 0) {
        for (const a of b.alternatives) out.push(`${a} -j MARK --set-xmark ${ALL_BLOCKS}`);
      } else {
        out.push("-j MARK --set-xmark 0x0/0x80000");
        for (const a of b.alternatives) out.push(`${a} -j MARK --set-xmark ${THIS_BLOCK}`);
        out.push("-m mark --mark 0x0/0x80000 -j MARK --set-xmark 0x0/0x40000");
      }
    });
    tail = ` -m mark --mark ${ALL_BLOCKS}${tail}`;
  }
  const text = `${head}${match}${tail}`.trim();
  const pre = text === "" ? "" : `${text} `;
  switch (r.action) {
    case "allow":
      out.push(`${pre}-j MARK --set-xmark ${ACCEPT}`, `-m mark --mark ${ACCEPT} -j RETURN`);
      break;
    case "pass":
      out.push(`${pre}-j MARK --set-xmark ${PASS}`, `-m mark --mark ${PASS} -j RETURN`);
      break;
    case "deny":
      out.push(`${pre}-j DROP`);
      break;
    case "log":
      out.push(`${pre}-j LOG --log-prefix "calico-packet: " --log-level 5`);
      break;
  }
  return out;
}

function portTexts(
  list: readonly PortMatch[],
  dir: "src" | "dst",
  r: PolicyRule,
  e: EntityMatch,
  sets: { namedPort: PolicySets["namedPort"] },
): string[] {
  const out: string[] = [];
  const numeric = list.filter((p) => "lo" in p);
  let part: string[] = [];
  let count = 0;
  const flush = (): void => {
    if (part.length > 0) out.push(`-m multiport --${dir === "src" ? "s" : "d"}ports ${part.join(",")}`);
    part = [];
    count = 0;
  };
  for (const p of numeric) {
    const size = p.lo === p.hi ? 1 : 2;
    if (count + size > MAX_PORTS) flush();
    part.push(size === 1 ? String(p.lo) : `${p.lo}:${p.hi}`);
    count += size;
  }
  flush();
  for (const p of list) {
    if (!("name" in p)) continue;
    const set = sets.namedPort(p.name, r.protocol ?? "tcp", e.selector ?? "all()", r.pos);
    out.push(`-m set --match-set ${set} ${dir},${dir}`);
  }
  return out;
}

function negate(text: string): string {
  return text.startsWith("-m set")
    ? text.replace("--match-set", "! --match-set")
    : text.replace(/--([sd])ports/, "! --$1ports");
}

const withLength = (net: string): string => (net.includes("/") ? net : `${net}/32`);
