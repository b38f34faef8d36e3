// cilium_calls_NNNNN: the tail calls inside one object (bpf/lib/tailcall.h). A failed tail call is drop 140 with
// the index as extended error.

import { endpointMapName } from "./policy.js";
import type { MapSpec } from "./spec.js";

export const CILIUM_CALL_DROP_NOTIFY = 1;
export const CILIUM_CALL_ERROR_NOTIFY = 2;
export const CILIUM_CALL_HANDLE_ICMP6_NS = 4;
export const CILIUM_CALL_SEND_ICMP6_TIME_EXCEEDED = 5;
export const CILIUM_CALL_ARP = 6;
/** One index for the IPv4 path of each kind of object. */
export const CILIUM_CALL_IPV4_FROM_LXC = 7;
export const CILIUM_CALL_IPV4_FROM_NETDEV = 7;
export const CILIUM_CALL_IPV4_FROM_OVERLAY = 7;
export const CILIUM_CALL_IPV4_FROM_WIREGUARD = 7;
export const CILIUM_CALL_IPV46_RFC6052 = 8;
export const CILIUM_CALL_IPV64_RFC6052 = 9;
/** The same for IPv6. */
export const CILIUM_CALL_IPV6_FROM_LXC = 10;
export const CILIUM_CALL_IPV6_FROM_NETDEV = 10;
export const CILIUM_CALL_IPV6_FROM_OVERLAY = 10;
export const CILIUM_CALL_IPV6_FROM_WIREGUARD = 10;
/** Ingress policy without delivery; in the host object: towards the host. */
export const CILIUM_CALL_IPV4_TO_LXC_POLICY_ONLY = 11;
export const CILIUM_CALL_IPV4_TO_HOST_POLICY_ONLY = 11;
export const CILIUM_CALL_IPV6_TO_LXC_POLICY_ONLY = 12;
export const CILIUM_CALL_IPV6_TO_HOST_POLICY_ONLY = 12;
export const CILIUM_CALL_IPV4_TO_ENDPOINT = 13;
export const CILIUM_CALL_IPV6_TO_ENDPOINT = 14;
// Node port: source translation of requests, reverse translation of replies, direct server return.
export const CILIUM_CALL_IPV4_NODEPORT_NAT_EGRESS = 15;
export const CILIUM_CALL_IPV6_NODEPORT_NAT_EGRESS = 16;
export const CILIUM_CALL_IPV4_NODEPORT_REVNAT = 17;
export const CILIUM_CALL_IPV6_NODEPORT_REVNAT_INGRESS = 18;
export const CILIUM_CALL_IPV6_NODEPORT_REVNAT_EGRESS = 19;
export const CILIUM_CALL_IPV4_NODEPORT_NAT_FWD = 20;
export const CILIUM_CALL_IPV4_NODEPORT_DSR = 21;
export const CILIUM_CALL_IPV6_NODEPORT_DSR = 22;
export const CILIUM_CALL_IPV4_FROM_HOST = 23;
export const CILIUM_CALL_IPV6_FROM_HOST = 24;
export const CILIUM_CALL_IPV6_NODEPORT_NAT_FWD = 25;
// Endpoint path: service translation, conntrack, then on to policy and delivery.
export const CILIUM_CALL_IPV4_FROM_LXC_CONT = 26;
export const CILIUM_CALL_IPV6_FROM_LXC_CONT = 27;
export const CILIUM_CALL_IPV4_CT_INGRESS = 28;
export const CILIUM_CALL_IPV4_CT_INGRESS_POLICY_ONLY = 29;
export const CILIUM_CALL_IPV4_CT_EGRESS = 30;
export const CILIUM_CALL_IPV6_CT_INGRESS = 31;
export const CILIUM_CALL_IPV6_CT_INGRESS_POLICY_ONLY = 32;
export const CILIUM_CALL_IPV6_CT_EGRESS = 33;
export const CILIUM_CALL_SRV6_ENCAP = 34;
export const CILIUM_CALL_SRV6_DECAP = 35;
export const CILIUM_CALL_IPV4_NODEPORT_NAT_INGRESS = 36;
export const CILIUM_CALL_IPV6_NODEPORT_NAT_INGRESS = 37;
export const CILIUM_CALL_IPV4_NODEPORT_SNAT_FWD = 38;
export const CILIUM_CALL_IPV6_NODEPORT_SNAT_FWD = 39;
export const CILIUM_CALL_IPV4_INTER_CLUSTER_REVSNAT = 40;
export const CILIUM_CALL_IPV4_CONT_FROM_HOST = 41;
export const CILIUM_CALL_IPV4_CONT_FROM_NETDEV = 42;
export const CILIUM_CALL_IPV6_CONT_FROM_HOST = 43;
export const CILIUM_CALL_IPV6_CONT_FROM_NETDEV = 44;
/** ICMP error for a service without backends. */
export const CILIUM_CALL_IPV4_NO_SERVICE = 45;
export const CILIUM_CALL_IPV6_NO_SERVICE = 46;
export const CILIUM_CALL_MULTICAST_EP_DELIVERY = 47;
/** ICMP error for a packet that policy denied. */
export const CILIUM_CALL_IPV4_POLICY_DENIED = 48;
/** Places of the map. */
export const CILIUM_CALL_SIZE = 49;

/** Spec of the calls map of the object of endpoint `id`. */
export function callsSpec(id: number): MapSpec {
  return {
    name: endpointMapName("cilium_calls", id),
    type: "prog_array",
    keySize: 4,
    valueSize: 4,
    maxEntries: CILIUM_CALL_SIZE,
  };
}
