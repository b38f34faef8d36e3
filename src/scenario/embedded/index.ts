// The scenarios that ship inside the package, by name. The first is what commands run when none is named.

import {
  CALICO_CLOUD_FIREWALL,
  CALICO_IPIP_CROSS_NODE,
  CALICO_NODE_NAME_CONFLICT,
} from "./calico_ipip_cross_node.js";
import { CALICO_IPIP_SAME_NODE } from "./calico_ipip_same_node.js";
import { CALICO_KIND_DIRECT, CALICO_KIND_IPIP, CALICO_KIND_VXLAN } from "./calico_kind.js";
import { CALICO_TWO_NICS, CALICO_WRONG_TUNNEL_ROUTE, VETH_NETNS_EXERCISE } from "./calico_troubleshooting.js";
import { CILIUM_NATIVE_ROUTING } from "./cilium_native_routing.js";

/** Name and YAML text of each embedded scenario. */
export const EMBEDDED: ReadonlyMap<string, string> = new Map([
  ["cilium-native-routing", CILIUM_NATIVE_ROUTING],
  ["calico-ipip-same-node", CALICO_IPIP_SAME_NODE],
  ["calico-ipip-cross-node", CALICO_IPIP_CROSS_NODE],
  ["calico-cloud-firewall", CALICO_CLOUD_FIREWALL],
  ["calico-node-name-conflict", CALICO_NODE_NAME_CONFLICT],
  ["calico-kind-ipip", CALICO_KIND_IPIP],
  ["calico-kind-direct", CALICO_KIND_DIRECT],
  ["calico-kind-vxlan", CALICO_KIND_VXLAN],
  ["calico-wrong-tunnel-route", CALICO_WRONG_TUNNEL_ROUTE],
  ["calico-two-nics", CALICO_TWO_NICS],
  ["veth-netns-exercise", VETH_NETNS_EXERCISE],
]);

/** The scenario of `npm start`. */
export const DEFAULT_SCENARIO = "cilium-native-routing";
