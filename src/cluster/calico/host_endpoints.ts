// HostEndpoints: policy on a node's own interfaces (felix/rules: endpoints.go, static.go, dispatch.go). Packets to and from
// the node itself meet the endpoint's policies, forwarded ones those with applyOnForward; preDNAT policies come before
// service addresses are translated.
//
//   mangle PREROUTING  cali-from-host-endpoint --> cali-fh-IF     preDNAT policies
//   filter INPUT       cali-from-host-endpoint --> cali-fh-IF     ingress: failsafe ports, policies, profiles
//   filter OUTPUT      cali-to-host-endpoint   --> cali-th-IF     egress, likewise
//   filter FORWARD     cali-from-hep-forward   --> cali-fhfw-IF   then pods' chains, then
//                      cali-to-hep-forward     --> cali-thfw-IF
//
// Differs from Felix: egress policy is not applied to what the node sends to a translated address (mangle POSTROUTING).

import { PodpathError } from "../../base/errors.js";
import { type Fields, fields, int, list, strings, text } from "../linux_plane.js";
import type { ClusterModel } from "../model.js";
import type { Labels } from "./selector.js";

/** A HostEndpoint as Felix on its node sees it. */
export interface HostEndpoint {
  readonly name: string;
  readonly node: string;
  /** A device, or `*` for all that are not pods'. */
  readonly interfaceName: string;
  readonly labels: Labels;
  readonly profiles: readonly string[];
  readonly expectedIps: readonly string[];
}

/** A port that stays open whatever the policies say. */
export interface FailsafePort {
  readonly protocol: string;
  readonly port: number;
  readonly net: string | undefined;
}

/** Name of the chains of the endpoint of all interfaces. */
export const ANY_INTERFACE = "any-interface-at-all";

/** The part of a chain's name behind its prefix. */
export function hostChainSuffix(h: HostEndpoint): string {
  return h.interfaceName === "*" ? ANY_INTERFACE : h.interfaceName;
}

/**
 * The HostEndpoints of the scenario. `deviceOf` finds the device of a node that has one of the addresses. Throws
 * SCENARIO_INVALID for one without a node of the scenario, or whose interface cannot be told.
 */
export function readHostEndpoints(
  model: ClusterModel,
  deviceOf: (node: string, addresses: readonly string[]) => string | undefined,
): HostEndpoint[] {
  return model.objects
    .filter((o) => o.kind === "HostEndpoint")
    .map((o) => {
      const s = fields(o.raw.spec);
      const node = text(s.node) ?? "";
      const bad = (field: string, message: string): PodpathError =>
        new PodpathError(
          "SCENARIO_INVALID",
          `HostEndpoint ${o.metadata.name}: ${message}`,
          o.pos(["spec", field]),
        );
      if (!model.nodes.some((n) => n.name === node))
        throw bad("node", `the scenario has no node ${JSON.stringify(node)}`);
      const expectedIps = strings(s.expectedIPs).filter((a) => !a.includes(":"));
      const interfaceName = text(s.interfaceName) ?? deviceOf(node, expectedIps);
      if (interfaceName === undefined)
        throw bad("expectedIPs", "no interfaceName, and no device of the node has one of the expectedIPs");
      return {
        name: o.metadata.name,
        node,
        interfaceName,
        labels: o.metadata.labels,
        profiles: strings(s.profiles),
        expectedIps,
      };
    });
}

const tcp = (port: number): FailsafePort => ({ protocol: "tcp", port, net: undefined });
const udp = (port: number): FailsafePort => ({ protocol: "udp", port, net: undefined });
/** SSH, DHCP, BGP, etcd, Typha, the API servers. */
const COMMON = [179, 2379, 2380, 5473, 6443, 6666, 6667].map(tcp);
export const FAILSAFE_IN: readonly FailsafePort[] = [tcp(22), udp(68), ...COMMON];
export const FAILSAFE_OUT: readonly FailsafePort[] = [udp(53), udp(67), ...COMMON];

/** `failsafeInboundHostPorts` and its twin in a FelixConfiguration. */
export function failsafePorts(value: unknown, usual: readonly FailsafePort[]): readonly FailsafePort[] {
  if (value === undefined) return usual;
  return list(value).map((v) => {
    const f: Fields = fields(v);
    return {
      protocol: (text(f.protocol) ?? "tcp").toLowerCase(),
      port: int(f.port) ?? 0,
      net: text(f.net),
    };
  });
}

/** Rules of cali-failsafe-in (`s`: the other end is the source) or cali-failsafe-out (`d`). */
export function failsafeRules(ports: readonly FailsafePort[], end: "s" | "d"): string[] {
  return ports
    .filter((p) => p.net?.includes(":") !== true)
    .map((p) => {
      const net = p.net === undefined ? "" : `-${end} ${p.net.includes("/") ? p.net : `${p.net}/32`} `;
      return `${net}-p ${p.protocol} -m multiport --dports ${p.port} -j ACCEPT`;
    });
}
