// From a ClusterModel to a running cluster: the one place that knows which control plane builds which datapath.

import { isCalicoDatapath } from "./calico/config.js";
import { CalicoPlane } from "./calico/plane.js";
import { agentConfig, isCiliumDatapath } from "./cilium/agent_config.js";
import { CiliumPlane } from "./cilium/plane.js";
import { withPodCidrs } from "./cilium/pod_cidrs.js";
import type { ControlPlane } from "./control_plane.js";
import { FlannelPlane } from "./flannel/plane.js";
import type { Machines } from "./machines.js";
import type { ClusterModel } from "./model.js";

/**
 * Builds the cluster on machines that stand already. `forced`: the datapath was chosen on the command line, so that
 * its own options win over the scenario's.
 */
export function buildCluster(model: ClusterModel, machines: Machines, forced: boolean): ControlPlane {
  const d = model.datapath;
  if (isCiliumDatapath(d.name)) return new CiliumPlane(withPodCidrs(model), machines, agentConfig(d, forced));
  if (isCalicoDatapath(d.name)) return new CalicoPlane(model, machines, forced);
  return new FlannelPlane(model, machines);
}
