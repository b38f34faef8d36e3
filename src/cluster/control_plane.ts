// What every control plane is to the lab: it turns a ClusterModel into devices, routes, rules, maps and programs on
// machines that exist already, and answers questions about what it built.

import type { PerfEventArray } from "../../maps/perf_event_array.js";
import type { StepRecorder } from "../bpf/steps.js";
import type { CommandResult } from "../kernel/iproute.js";
import type { Machine, Machines, Sandbox } from "./machines.js";
import type { ClusterModel } from "./model.js";

/** A node as the control plane keeps it. */
export interface PlaneNode {
  readonly name: string;
  readonly machine: Machine;
  /** The node's perf ring; null where no BPF datapath runs. */
  readonly events: PerfEventArray | null;
  /** Ids of the node's endpoints, the host's included; empty where there are none. */
  readonly endpointIds: readonly number[];
  /** Name of a device by ifindex, as the monitor prints it. */
  ifname(ifindex: number): string | undefined;
}

/** A built cluster. */
export interface ControlPlane {
  readonly model: ClusterModel;
  readonly machines: Machines;
  /** In the order of the scenario. */
  readonly nodes: readonly PlaneNode[];
  /** Pods with a namespace of their own, by `namespace/name`. */
  readonly pods: ReadonlyMap<string, Sandbox>;
  /** Attaches (or detaches, with null) a walk recorder to every namespace and program. */
  setRecorder(recorder: StepRecorder | null): void;
  /** Runs a command of its own tools (`calicoctl` ...) on a machine; null for a command that it does not have. */
  command?(machine: Machine, argv: readonly string[]): CommandResult | null;
}

/** Key of a pod in `ControlPlane.pods`. */
export function podKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}
