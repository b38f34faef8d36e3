// Policy YAML to map entries: one small cluster, one line for each entry. The recorded compilations cover the whole
// range; these say what each kind of rule is for.

import { describe, expect, it } from "vitest";
import type { PolicyConfig } from "../../../../../src/cluster/cilium/policy/config.js";
import { formatPath } from "../../../../../src/cluster/cilium/policy/invalid.js";
import type { MapStateEntry } from "../../../../../src/cluster/cilium/policy/map_state.js";
import { lastPort } from "../../../../../src/cluster/cilium/policy/ports.js";
import { PolicyConflict } from "../../../../../src/cluster/cilium/policy/resolve.js";
import { protocolName } from "../../../../../src/cluster/cilium/policy/rules.js";
import { PolicyCluster } from "../../../../support/policy_cluster.js";

/** Enforcement and entries of web (or of the host), and what was refused. */
function compile(yaml: string, config: Partial<PolicyConfig> = {}, who: "web" | "host" = "web"): string {
  const cluster = new PolicyCluster(yaml, config);
  const lines = cluster.parsed.rejected.map((r) => `refused at ${formatPath(r.path)}: ${r.error}`);
  try {
    const policy = cluster.resolve(who);
    const enforced = [policy.ingressEnforced ? "ingress" : "", policy.egressEnforced ? "egress" : ""];
    lines.push(`enforced: ${enforced.filter((e) => e !== "").join(" ") || "nothing"}`);
    lines.push(...policy.entries.map((e) => entryText(e, (id) => cluster.name(id))));
  } catch (e) {
    if (!(e instanceof PolicyConflict)) throw e;
    lines.push(`conflict: ${e.message}`);
  }
  return `${lines.join("\n")}\n`;
}

function entryText(e: MapStateEntry, name: (id: number) => string): string {
  const { direction, identity, protocol, port, portPrefixLen } = e.key;
  const last = lastPort({ port, prefixLen: portPrefixLen });
  const ports = portPrefixLen === 0 ? "" : port === last ? ` ${port}` : ` ${port}-${last}`;
  const v = e.value;
  const words = [
    v.deny ? "deny" : v.proxyPort === 0 ? "allow" : `proxy ${v.proxyPort}`,
    v.authType === 0 && !v.authExplicit ? "" : `auth ${v.authType}${v.authExplicit ? " explicit" : ""}`,
    v.deny || v.precedence === 0xffffff01 ? "" : `precedence ${v.precedence.toString(16)}`,
  ].filter((w) => w !== "");
  const from = e.origins.map((o) => (o.kind === undefined ? o.name : `${o.name} ${formatPath(o.path)}`));
  return `${direction} ${name(identity)} ${protocolName(protocol)}${ports}: ${words.join(", ")} <- ${from.join(", ") || "nothing"}`;
}

function cnp(spec: string, name = "p"): string {
  return `
---
kind: CiliumNetworkPolicy
metadata: {name: ${name}, namespace: default}
spec: {endpointSelector: {matchLabels: {app: web}}, ${spec}}
`;
}
function knp(spec: string, name = "k"): string {
  return `
---
kind: NetworkPolicy
metadata: {name: ${name}, namespace: default}
spec: {podSelector: {matchLabels: {app: web}}, ${spec}}
`;
}

describe("without policies", () => {
  it("everything is let in and out, or nothing where enforcement is forced", () => {
    expect(compile("")).toMatchInlineSnapshot(`
      "enforced: nothing
      ingress any ANY: allow <- allow-any-ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(compile("", { policyEnforcement: "always" })).toMatchInlineSnapshot(`
      "enforced: ingress egress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      "
    `);
    expect(compile(cnp("ingress: []"), { policyEnforcement: "never" })).toMatchInlineSnapshot(`
      "refused at spec: Invalid CiliumNetworkPolicy spec: rule must have at least one of Ingress, IngressDeny, Egress, EgressDeny
      enforced: nothing
      ingress any ANY: allow <- allow-any-ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(compile("", { policyEnforcement: "always", allowLocalhost: "policy" })).toMatchInlineSnapshot(`
      "enforced: ingress egress
      "
    `);
  });
});

describe("NetworkPolicy", () => {
  it("lets peers in on ports, ranges cut into blocks", () => {
    expect(
      compile(
        knp(
          "ingress: [{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 80}, {port: 8000, endPort: 8071}, {protocol: UDP, port: 53}]}]",
        ),
      ),
    ).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      ingress db TCP 80: allow <- k spec.ingress[0].from[0]
      ingress db TCP 8000-8063: allow <- k spec.ingress[0].from[0]
      ingress db TCP 8064-8071: allow <- k spec.ingress[0].from[0]
      ingress db UDP 53: allow <- k spec.ingress[0].from[0]
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("means the own namespace by a pod selector, others only with a namespace selector", () => {
    expect(compile(knp("ingress: [{from: [{podSelector: {}}]}]"))).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      ingress web ANY: allow <- k spec.ingress[0].from[0]
      ingress db ANY: allow <- k spec.ingress[0].from[0]
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(compile(knp("ingress: [{from: [{namespaceSelector: {}}]}]"))).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      ingress web ANY: allow <- k spec.ingress[0].from[0]
      ingress db ANY: allow <- k spec.ingress[0].from[0]
      ingress job ANY: allow <- k spec.ingress[0].from[0]
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(
      compile(
        knp(
          "ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: prod}}, podSelector: {matchLabels: {app: job}}}]}]",
        ),
      ),
    ).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      ingress job ANY: allow <- k spec.ingress[0].from[0]
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("takes an empty from, or none, for everybody", () => {
    expect(compile(knp("ingress: [{}]"))).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress any ANY: allow <- k spec.ingress[0]
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(compile(knp("ingress: [{from: [], ports: [{port: 80}]}]"))).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress any TCP 80: allow <- k spec.ingress[0]
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("denies a direction by naming it in policyTypes only", () => {
    expect(compile(knp("policyTypes: [Ingress, Egress]"))).toMatchInlineSnapshot(`
      "enforced: ingress egress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      "
    `);
    expect(compile(knp("policyTypes: [Egress], ingress: [{}]"))).toMatchInlineSnapshot(`
      "enforced: ingress egress
      ingress any ANY: allow <- k spec.ingress[0]
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      "
    `);
  });

  it("cuts exceptions out of a block of addresses", () => {
    expect(
      compile(
        knp("policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]"),
      ),
    ).toMatchInlineSnapshot(`
      "enforced: egress
      ingress any ANY: allow <- allow-any-ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress cidr:10.0.0.0/8+reserved:world ANY: allow <- k spec.egress[0].to[0]
      "
    `);
  });

  it("takes of numbers that are no port what the agent takes, though the API server lets none through", () => {
    expect(
      compile(knp("ingress: [{ports: [{port: 70000}, {port: -1}, {port: 80, endPort: 65617}]}]")),
    ).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress any TCP: allow <- k spec.ingress[0]
      ingress any TCP 80-81: allow <- k spec.ingress[0]
      ingress any TCP 65535: allow <- k spec.ingress[0]
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(compile(knp("ingress: [{ports: [{port: 1.5}]}]"))).toMatchInlineSnapshot(`
      "refused at spec.ingress[0].ports[0].port: spec.ingress[0].ports[0].port must be an integer
      enforced: nothing
      ingress any ANY: allow <- allow-any-ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(compile(knp("podSelector: {matchLabels: {version: 1}}"))).toMatchInlineSnapshot(`
      "refused at spec.podSelector.matchLabels.version: spec.podSelector.matchLabels.version must be a string
      enforced: nothing
      ingress any ANY: allow <- allow-any-ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("resolves a named port at the subject on the way in, and on the way out at all pods if they agree", () => {
    expect(compile(knp("ingress: [{ports: [{port: http}]}]"))).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress any TCP 8080: allow <- k spec.ingress[0]
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(
      compile(knp("policyTypes: [Egress], egress: [{ports: [{port: metrics}]}]")),
    ).toMatchInlineSnapshot(`
      "enforced: egress
      ingress any ANY: allow <- allow-any-ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any TCP 9153: allow <- k spec.egress[0]
      "
    `);
    expect(compile(knp("policyTypes: [Egress], egress: [{ports: [{port: pg}]}]"))).toMatchInlineSnapshot(`
      "enforced: egress
      ingress any ANY: allow <- allow-any-ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      "
    `);
    expect(compile(knp("ingress: [{ports: [{port: nobody}]}]"))).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });
});

describe("CiliumNetworkPolicy", () => {
  it("means pods of its own namespace and cluster unless the selector says otherwise", () => {
    expect(compile(cnp("ingress: [{fromEndpoints: [{}]}]"))).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      ingress web ANY: allow <- p spec.ingress[0]
      ingress db ANY: allow <- p spec.ingress[0]
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(
      compile(cnp("ingress: [{fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': prod}}]}]")),
    ).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      ingress job ANY: allow <- p spec.ingress[0]
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("takes an empty list of peers for nobody, and switches enforcement on", () => {
    expect(compile(cnp("ingress: [{fromEndpoints: []}]"))).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(compile(cnp("ingress: [{}]"))).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(compile(cnp("ingress: []"))).toMatchInlineSnapshot(`
      "refused at spec: Invalid CiliumNetworkPolicy spec: rule must have at least one of Ingress, IngressDeny, Egress, EgressDeny
      enforced: nothing
      ingress any ANY: allow <- allow-any-ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("lets everybody in on ports when no peers are named", () => {
    expect(
      compile(cnp("ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]")),
    ).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress any TCP 80: allow <- p spec.ingress[0]
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("takes protocol ANY for TCP, UDP and SCTP", () => {
    expect(
      compile(cnp("ingress: [{toPorts: [{ports: [{port: '53', protocol: ANY}]}]}]")),
    ).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress any TCP 53: allow <- p spec.ingress[0]
      ingress any UDP 53: allow <- p spec.ingress[0]
      ingress any SCTP 53: allow <- p spec.ingress[0]
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("names entities", () => {
    expect(compile(cnp("egress: [{toEntities: [world, host, kube-apiserver]}]"))).toMatchInlineSnapshot(`
      "enforced: egress
      ingress any ANY: allow <- allow-any-ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress reserved:host ANY: allow <- p spec.egress[0]
      egress reserved:world ANY: allow <- p spec.egress[0]
      egress reserved:kube-apiserver+reserved:remote-node ANY: allow <- p spec.egress[0]
      egress reserved:world-ipv4 ANY: allow <- p spec.egress[0]
      egress reserved:world-ipv6 ANY: allow <- p spec.egress[0]
      "
    `);
    expect(compile(cnp("egress: [{toEntities: [all]}]"))).toMatchInlineSnapshot(`
      "enforced: egress
      ingress any ANY: allow <- allow-any-ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- p spec.egress[0]
      "
    `);
    expect(compile(cnp("egress: [{toEntities: [none]}]"))).toMatchInlineSnapshot(`
      "enforced: egress
      ingress any ANY: allow <- allow-any-ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      "
    `);
  });

  it("puts deny above every allow and drops the allows that it covers", () => {
    const allow =
      "ingress: [{fromEndpoints: [{matchLabels: {app: db}}], toPorts: [{ports: [{port: '80'}, {port: '81'}]}]}]";
    expect(
      compile(cnp(`${allow}, ingressDeny: [{toPorts: [{ports: [{port: '80'}]}]}]`)),
    ).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress any TCP 80: deny <- p spec.ingressDeny[0]
      ingress any UDP 80: deny <- p spec.ingressDeny[0]
      ingress any SCTP 80: deny <- p spec.ingressDeny[0]
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      ingress db TCP 81: allow <- p spec.ingress[0]
      ingress db UDP 81: allow <- p spec.ingress[0]
      ingress db SCTP 81: allow <- p spec.ingress[0]
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(compile(cnp(`${allow}, ingressDeny: [{fromEntities: [all]}]`))).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress any ANY: deny <- p spec.ingressDeny[0]
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(compile(cnp("ingressDeny: [{fromEndpoints: [{matchLabels: {app: db}}]}]"))).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      ingress db ANY: deny <- p spec.ingressDeny[0]
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("need not switch default deny on", () => {
    expect(
      compile(
        cnp(
          "enableDefaultDeny: {ingress: false}, ingressDeny: [{fromEndpoints: [{matchLabels: {app: db}}]}]",
        ),
      ),
    ).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress any ANY: allow <- allow-any-ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      ingress db ANY: deny <- p spec.ingressDeny[0]
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(
      compile(cnp("enableDefaultDeny: {egress: true, ingress: true}, ingress: [{}]")),
    ).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("allows types of ICMP as ports of its protocol", () => {
    expect(
      compile(
        cnp("ingress: [{icmps: [{fields: [{type: 8, family: IPv4}, {type: EchoRequest, family: IPv6}]}]}]"),
      ),
    ).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress any ICMP 8: allow <- p spec.ingress[0]
      ingress any ICMPv6 128: allow <- p spec.ingress[0]
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("hands L7 rules to the proxy, the host apart, and allows of the same port with them", () => {
    const http = "toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]";
    expect(
      compile(cnp(`ingress: [{fromEndpoints: [{matchLabels: {app: db}}], ${http}}]`)),
    ).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      ingress db TCP 80: proxy 10081, precedence ffffff9a <- p spec.ingress[0]
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(
      compile(
        cnp(
          `ingress: [{fromEndpoints: [{matchLabels: {app: db}}], ${http}}, {fromEndpoints: [{}], toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]`,
        ),
      ),
    ).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      ingress web TCP 80: allow <- p spec.ingress[1]
      ingress db TCP 80: proxy 10081, precedence ffffff9a <- p spec.ingress[0]
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("sends DNS to the proxy and lets names out at the addresses that they have", () => {
    expect(
      compile(
        cnp(
          "egress: [{toFQDNs: [{matchName: api.example.com}], toPorts: [{ports: [{port: '443', protocol: TCP}]}]}, {toEntities: [cluster], toPorts: [{ports: [{port: '53', protocol: UDP}], rules: {dns: [{matchPattern: '*'}]}}]}]",
        ),
      ),
    ).toMatchInlineSnapshot(`
      "enforced: egress
      ingress any ANY: allow <- allow-any-ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress reserved:host UDP 53: proxy 10053, precedence ffffff86 <- p spec.egress[1]
      egress reserved:unmanaged UDP 53: proxy 10053, precedence ffffff86 <- p spec.egress[1]
      egress reserved:health UDP 53: proxy 10053, precedence ffffff86 <- p spec.egress[1]
      egress reserved:init UDP 53: proxy 10053, precedence ffffff86 <- p spec.egress[1]
      egress reserved:remote-node UDP 53: proxy 10053, precedence ffffff86 <- p spec.egress[1]
      egress reserved:kube-apiserver+reserved:remote-node UDP 53: proxy 10053, precedence ffffff86 <- p spec.egress[1]
      egress reserved:ingress UDP 53: proxy 10053, precedence ffffff86 <- p spec.egress[1]
      egress web UDP 53: proxy 10053, precedence ffffff86 <- p spec.egress[1]
      egress db UDP 53: proxy 10053, precedence ffffff86 <- p spec.egress[1]
      egress job UDP 53: proxy 10053, precedence ffffff86 <- p spec.egress[1]
      egress fqdn:api.example.com+reserved:world TCP 443: allow <- p spec.egress[0]
      "
    `);
  });

  it("asks for authentication, which narrower entries inherit", () => {
    expect(
      compile(
        cnp(
          "ingress: [{fromEndpoints: [{matchLabels: {app: db}}], authentication: {mode: required}}, {fromEndpoints: [{matchLabels: {app: db}}], toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]",
        ),
      ),
    ).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      ingress db ANY: allow, auth 1 explicit <- p spec.ingress[0]
      ingress db TCP 80: allow, auth 1 <- p spec.ingress[1]
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("says which rules an entry comes from when several give the same", () => {
    const rule = "ingress: [{fromEndpoints: [{matchLabels: {app: db}}]}]";
    expect(
      compile(cnp(rule) + cnp(`ingress: [{}, ${rule.slice("ingress: [".length)}`, "q")),
    ).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      ingress db ANY: allow <- p spec.ingress[0], q spec.ingress[1]
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("is refused for an ICMP type that is no whole number of 16 bits", () => {
    const type = (t: string) => cnp(`ingressDeny: [{icmps: [{fields: [{type: ${t}}]}]}]`, `p${t}`);
    expect(compile(type("-1.1e-10") + type("-1") + type("65536") + type("'70000'"))).toMatchInlineSnapshot(`
      "refused at spec.ingressDeny[0].icmps[0].fields[0].type: ICMP type -1.1e-10 is not a number from 0 to 65535
      refused at spec.ingressDeny[0].icmps[0].fields[0].type: ICMP type -1 is not a number from 0 to 65535
      refused at spec.ingressDeny[0].icmps[0].fields[0].type: ICMP type 65536 is not a number from 0 to 65535
      refused at spec.ingressDeny[0].icmps[0].fields[0].type: ICMP type 70000 is not a number from 0 to 65535
      enforced: nothing
      ingress any ANY: allow <- allow-any-ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("contributes nothing when it is refused, while the others apply", () => {
    expect(
      compile(
        cnp("ingress: [{fromEndpoints: [{}], fromCIDR: [10.0.0.0/8]}]") +
          cnp("ingress: [{toPorts: [{ports: [{port: '65536'}]}]}]", "q") +
          cnp("egress: [{toCIDR: [10.0.0.0/33]}]", "r") +
          cnp("egress: [{toEntities: [everyone]}]", "s") +
          cnp("ingress: {}", "t") +
          cnp("ingress: [{fromEndpoints: [{matchLabels: {app: db}}]}]", "good") +
          "---\nkind: Pod\nmetadata: {name: x}\n",
      ),
    ).toMatchInlineSnapshot(`
      "refused at spec.ingress[0].fromCIDR: Invalid CiliumNetworkPolicy spec: combining FromEndpoints and FromCIDR is not supported yet
      refused at spec.ingress[0].toPorts[0].ports[0].port: Invalid CiliumNetworkPolicy spec: unable to parse port: strconv.ParseUint: parsing "65536": value out of range
      refused at spec.egress[0].toCIDR[0]: Invalid CiliumNetworkPolicy spec: unable to parse CIDR: ParseAddr("10.0.0.0/33"): unexpected character (at "/33")
      refused at spec.egress[0].toEntities[0]: Invalid CiliumNetworkPolicy spec: unsupported entity: everyone
      refused at spec.ingress: spec.ingress must be a list
      refused at kind: unknown policy kind Pod
      enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      ingress db ANY: allow <- good spec.ingress[0]
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("cannot have two parsers on one port", () => {
    const rule = (rules: string): string =>
      `{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: ${rules}}]}`;
    expect(
      compile(cnp(`ingress: [${rule("{http: [{}]}")}, ${rule("{l7proto: r2d2, l7: [{}]}")}]`)),
    ).toMatchInlineSnapshot(`
      "conflict: cannot merge conflicting L7 parsers (http/r2d2)
      "
    `);
  });
});

describe("CiliumClusterwideNetworkPolicy", () => {
  const ccnp = (spec: string): string => `
kind: CiliumClusterwideNetworkPolicy
metadata: {name: c}
spec: {${spec}}
`;

  it("selects pods of every namespace, and as peers those of every namespace too", () => {
    expect(compile(ccnp("endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]"))).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      ingress web ANY: allow <- c spec.ingress[0]
      ingress db ANY: allow <- c spec.ingress[0]
      ingress job ANY: allow <- c spec.ingress[0]
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });

  it("with a node selector selects hosts only", () => {
    const node = ccnp(
      "nodeSelector: {matchLabels: {role: worker}}, ingress: [{fromEntities: [remote-node]}]",
    );
    expect(compile(node)).toMatchInlineSnapshot(`
      "enforced: nothing
      ingress any ANY: allow <- allow-any-ingress
      ingress reserved:host ANY: allow <- allow-localhost-ingress
      egress any ANY: allow <- allow-any-egress
      "
    `);
    expect(compile(node, { enableHostFirewall: true }, "host")).toMatchInlineSnapshot(`
      "enforced: ingress
      ingress reserved:remote-node ANY: allow <- c spec.ingress[0]
      ingress reserved:kube-apiserver+reserved:remote-node ANY: allow <- c spec.ingress[0]
      egress any ANY: allow <- allow-any-egress
      "
    `);
  });
});
