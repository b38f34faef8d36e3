// cilium_percpu_trace_id: the id that an IP option of the packet in progress carries (bpf/lib/trace_helpers.h).

import type { MapSpec } from "./spec.js";

export const PERCPU_TRACE_ID_SPEC: MapSpec = {
  name: "cilium_percpu_trace_id",
  type: "percpu_array",
  keySize: 4,
  valueSize: 8,
  maxEntries: 1,
};
