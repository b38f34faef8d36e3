// podpath's public face: about thirty names, listed one by one. Everything else is internal and may change.

export { type FormatOptions, MonitorFormatter } from "../monitor/format.js";
export { PodpathError, type PodpathErrorCode, type SourcePosition } from "./base/errors.js";
export type { Helpers } from "./bpf/helpers.js";
export { Program, type ProgramSpec } from "./bpf/program.js";
export { Skb, TunnelKey } from "./bpf/skb.js";
export { Step, type StepRecord, StepRecorder } from "./bpf/steps.js";
export {
  TC_ACT_OK,
  TC_ACT_REDIRECT,
  TC_ACT_SHOT,
  XDP_ABORTED,
  XDP_DROP,
  XDP_PASS,
  XDP_REDIRECT,
  XDP_TX,
} from "./bpf/verdict.js";
export type { ControlPlane, PlaneNode } from "./cluster/control_plane.js";
export { DATAPATHS, type DatapathName, type Profile } from "./cluster/model.js";
export { Lab, type LabOptions, type LabSample } from "./lab.js";
export { EMBEDDED } from "./scenario/embedded/index.js";
export { loadScenario, type Scenario } from "./scenario/load.js";
export type { EndpointRef, PingResult, TcpResult, UdpResult } from "./scenario/traffic.js";
export { Coverage, type CoverageItem, type CoverageReport } from "./walk/coverage.js";
export { coverageText, mergeCoverage } from "./walk/coverage_text.js";
export { Walk, type WalkStep } from "./walk/walk.js";
