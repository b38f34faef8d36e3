// A program as the kernel attaches it: plain data that can be listed, and the function to run.

import type { Skb } from "./skb.js";

export type ProgramType = "sched_cls" | "xdp" | "cgroup_sock_addr" | "cgroup_sock";

/**
 * Where programs hook in; `tc` names follow `tc filter show dev X ingress|egress`. A netkit pair has two points of its
 * own, both reached by the primary device as in the kernel: what the primary sends, and what its peer sends.
 */
export type AttachPoint = "tc_ingress" | "tc_egress" | "xdp" | "netkit_primary" | "netkit_peer";

export interface ProgramSpec {
  /** Name of the C function, e.g. `cil_from_container`. */
  readonly name: string;
  readonly type: ProgramType;
  /** Section of the object file, e.g. `tc/entry`. */
  readonly section: string;
  /** Source file in Cilium's tree, e.g. `bpf_lxc.c`; for a user's program whatever says where it is. */
  readonly file: string;
}

/** An attachable program. `run` returns a TC or XDP verdict (verdict.ts) and never throws. */
export class Program {
  constructor(
    readonly spec: ProgramSpec,
    readonly run: (skb: Skb) => number,
  ) {}
}
