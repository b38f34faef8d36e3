// Host ports of pods where Cilium does not serve them: the rules of the CNI plugin portmap (plugins/meta/portmap).
//
//   PREROUTING, OUTPUT (local address) --> CNI-HOSTPORT-DNAT --> CNI-DN-x of the pod --> DNAT
//   POSTROUTING --> CNI-HOSTPORT-MASQ: what the pod's own subnet or the node itself sent there
//
// Differs: the name of a pod's chain comes from a SHA-256 of the network's and the pod's names; the plugin takes SHA-512
// of the network's name and the container's id.

import { hexOf, sha256 } from "../base/sha.js";
import type { PodModel } from "./model.js";

const MARK = "0x2000/0x2000";
/** Longest name of a chain. */
const CHAIN_LENGTH = 28;

/** A pod with a host port, and the subnet that its address has in the pod. */
export interface PortmapPod {
  readonly pod: PodModel;
  /** `10.244.1.0/24`, or the address with /32. */
  readonly subnet: string;
}

/** Rules for iptables-restore --noflush; empty when no pod has a host port. */
export function portmapRules(network: string, pods: readonly PortmapPod[]): string {
  const dnat: string[] = [];
  const own: string[] = [];
  const chains: string[] = [];
  for (const { pod, subnet } of pods) {
    const mapped = pod.ports.filter((p) => (p.hostPort ?? 0) !== 0 && p.hostIp?.includes(":") !== true);
    if (mapped.length === 0) continue;
    const id = `${pod.namespace}/${pod.name}`;
    const chain = `CNI-DN-${hexOf(sha256(network + id))}`.slice(0, CHAIN_LENGTH);
    chains.push(chain);
    for (const protocol of ["tcp", "udp", "sctp"]) {
      const ports = mapped.filter((p) => p.protocol.toLowerCase() === protocol);
      // multiport takes fifteen.
      for (let i = 0; i < ports.length; i += 15) {
        const list = ports.slice(i, i + 15).map((p) => p.hostPort);
        dnat.push(
          `-A CNI-HOSTPORT-DNAT -p ${protocol} -m comment --comment "dnat name: \\"${network}\\" id: \\"${id}\\"" -m multiport --dports ${list.join(",")} -j ${chain}`,
        );
      }
      for (const p of ports) {
        const anywhere = p.hostIp === undefined || p.hostIp === "0.0.0.0";
        const to = `${anywhere ? "" : `-d ${p.hostIp}/32 `}-p ${protocol} -m ${protocol} --dport ${p.hostPort}`;
        own.push(
          `-A ${chain} -s ${subnet} ${to} -j CNI-HOSTPORT-SETMARK`,
          `-A ${chain} -s 127.0.0.1/32 ${to} -j CNI-HOSTPORT-SETMARK`,
          `-A ${chain} ${to} -j DNAT --to-destination ${pod.ip4}:${p.containerPort}`,
        );
      }
    }
  }
  if (chains.length === 0) return "";
  return [
    "*nat",
    ":CNI-HOSTPORT-DNAT - [0:0]",
    ":CNI-HOSTPORT-MASQ - [0:0]",
    ":CNI-HOSTPORT-SETMARK - [0:0]",
    ...chains.map((c) => `:${c} - [0:0]`),
    "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
    "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
    '-I POSTROUTING 1 -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
    `-A CNI-HOSTPORT-MASQ -m mark --mark ${MARK} -j MASQUERADE`,
    `-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark ${MARK}`,
    ...dnat,
    ...own,
    "COMMIT",
    "",
  ].join("\n");
}
