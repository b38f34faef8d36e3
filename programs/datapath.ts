// One node's datapath: loads object files and hands out the programs to attach. What the agent's loader does with clang
// and bpffs, this does with functions: each object gets its load-time configuration and its array of tail calls.

import type { CiliumMaps } from "../maps/cilium_maps.js";
import type { Helpers } from "../src/bpf/helpers.js";
import { Program, type ProgramSpec } from "../src/bpf/program.js";
import type { Skb } from "../src/bpf/skb.js";
import type { StepRecorder } from "../src/bpf/steps.js";
import * as host from "./bpf_host.js";
import * as lxc from "./bpf_lxc.js";
import * as overlay from "./bpf_overlay.js";
import * as sock from "./bpf_sock.js";
import * as wireguard from "./bpf_wireguard.js";
import * as xdp from "./bpf_xdp.js";
import { type CompileConfig, ObjectConfig, objectConfig } from "./config.js";
import * as call from "./lib/common.js";
import {
  Ctx,
  IS_BPF_HOST,
  IS_BPF_LXC,
  IS_BPF_OVERLAY,
  IS_BPF_SOCK,
  IS_BPF_WIREGUARD,
  IS_BPF_XDP,
  LoadedObject,
  type TailCall,
} from "./lib/ctx.js";
import { tail_nodeport_ipv4_dsr, tail_nodeport_ipv6_dsr } from "./lib/dsr.js";
import { tail_icmp6_handle_ns, tail_icmp6_send_time_exceeded } from "./lib/icmp6.js";
import * as nodeport from "./lib/nodeport.js";
import * as nodeport_egress from "./lib/nodeport_egress.js";

export interface DatapathOptions {
  /** The compile-time configuration of the node (config.ts, `compileConfig`). */
  readonly config: CompileConfig;
  readonly maps: CiliumMaps;
  readonly helpers: Helpers;
}

// The records below name all programs of an object; which of them a device gets is decided where devices are made:
//
//   device           tc ingress            tc egress
//   lxc*             cil_from_container    cil_to_container (per-endpoint routes only)
//   cilium_host      cil_to_host           cil_from_host
//   cilium_net       cil_to_host           -
//   native devices   cil_from_netdev       cil_to_netdev
//   tunnel device    cil_from_overlay      cil_to_overlay
//   cilium_wg0       cil_from_wireguard    cil_to_wireguard

/** Programs of an endpoint's device. */
export interface LxcPrograms {
  readonly from_container: Program;
  /** Attached only with per-endpoint routes. */
  readonly to_container: Program;
  readonly policy: Program;
  readonly policy_egress: Program;
}

/** Programs of bpf_host; which of them are attached depends on the device. */
export interface HostPrograms {
  readonly from_netdev: Program;
  readonly to_netdev: Program;
  readonly from_host: Program;
  readonly to_host: Program;
}

export interface OverlayPrograms {
  readonly from_overlay: Program;
  readonly to_overlay: Program;
}

export interface WireguardPrograms {
  readonly from_wireguard: Program;
  readonly to_wireguard: Program;
}

/** A program of a cgroup hook: SYS_PROCEED or SYS_REJECT (errno in `retval`); it changes the address in place. */
export class SockProgram {
  constructor(
    readonly spec: ProgramSpec,
    readonly run: (sk: sock.SockAddr) => number,
  ) {}
}

/** Programs of bpf_sock.c for the root cgroup. */
export interface SockPrograms {
  readonly connect4: SockProgram;
  readonly sendmsg4: SockProgram;
  readonly recvmsg4: SockProgram;
  readonly getpeername4: SockProgram;
  readonly post_bind4: SockProgram;
  readonly connect6: SockProgram;
  readonly sendmsg6: SockProgram;
  readonly recvmsg6: SockProgram;
  readonly getpeername6: SockProgram;
  readonly post_bind6: SockProgram;
  readonly sock_release: SockProgram;
}

// All tc programs lie in the same ELF section and are told apart by their symbols, as in the original's objects.
function tc(name: string, section: string, file: string): ProgramSpec {
  return { name, type: "sched_cls", section, file };
}

const FROM_CONTAINER = tc("cil_from_container", "tc/entry", "bpf_lxc.c");
const TO_CONTAINER = tc("cil_to_container", "tc/entry", "bpf_lxc.c");
const LXC_POLICY = tc("cil_lxc_policy", "tc/entry", "bpf_lxc.c");
const LXC_POLICY_EGRESS = tc("cil_lxc_policy_egress", "tc/entry", "bpf_lxc.c");
const FROM_NETDEV = tc("cil_from_netdev", "tc/entry", "bpf_host.c");
const TO_NETDEV = tc("cil_to_netdev", "tc/entry", "bpf_host.c");
const FROM_HOST = tc("cil_from_host", "tc/entry", "bpf_host.c");
const TO_HOST = tc("cil_to_host", "tc/entry", "bpf_host.c");
const FROM_OVERLAY = tc("cil_from_overlay", "tc/entry", "bpf_overlay.c");
const TO_OVERLAY = tc("cil_to_overlay", "tc/entry", "bpf_overlay.c");
const FROM_WIREGUARD = tc("cil_from_wireguard", "tc/entry", "bpf_wireguard.c");
const TO_WIREGUARD = tc("cil_to_wireguard", "tc/entry", "bpf_wireguard.c");
const XDP_ENTRY: ProgramSpec = {
  name: "cil_xdp_entry",
  type: "xdp",
  section: "xdp/entry",
  file: "bpf_xdp.c",
};

/** All programs of one node share its maps, its helpers and one Ctx. */
export class NodeDatapath {
  readonly ctx: Ctx;

  constructor(readonly options: DatapathOptions) {
    // Before the first packet ctx.obj has to be something: a field that may be null would cost a test for each access.
    const none = new LoadedObject(IS_BPF_HOST, new ObjectConfig(), 0, null);
    this.ctx = new Ctx(options.config, options.maps, options.helpers, none);
  }

  get config(): CompileConfig {
    return this.options.config;
  }

  get maps(): CiliumMaps {
    return this.options.maps;
  }

  /** Walk records are written here while it is set. */
  get recorder(): StepRecorder | null {
    return this.ctx.recorder;
  }

  set recorder(r: StepRecorder | null) {
    this.ctx.recorder = r;
  }

  /**
   * Loads bpf_lxc for an endpoint: its policy programs are put into cilium_call_policy and cilium_egresscall_policy, its
   * policy map is made if it does not exist.
   */
  loadLxc(fields: Partial<ObjectConfig>): LxcPrograms {
    const config = objectConfig(fields);
    const { maps, ctx } = this;
    // The endpoint's id is the slot of its policy programs, the suffix of its maps and the source of its samples.
    const id = config.endpoint_id;
    const obj = new LoadedObject(IS_BPF_LXC, config, id, maps.addPolicyMap(id));
    this.#lxcCalls(obj.calls);
    obj.policyProgram = lxc.cil_lxc_policy;
    obj.policyEgressProgram = lxc.cil_lxc_policy_egress;
    // The object and not a function: a tail call through this map goes over to the endpoint's configuration, policy map
    // and cilium_calls, while one through cilium_calls stays in its object.
    maps.cilium_call_policy.set(id, obj);
    if (this.config.ENABLE_L7_LB) maps.cilium_egresscall_policy.set(id, obj);
    return {
      // The busiest programs call their function by name, so that each call site knows one function only.
      from_container: new Program(FROM_CONTAINER, (skb: Skb) => {
        ctx.enter(skb, obj);
        return lxc.cil_from_container(ctx) & VERDICT;
      }),
      to_container: new Program(TO_CONTAINER, (skb: Skb) => {
        ctx.enter(skb, obj);
        return lxc.cil_to_container(ctx) & VERDICT;
      }),
      policy: this.#program(LXC_POLICY, obj, lxc.cil_lxc_policy),
      policy_egress: this.#program(LXC_POLICY_EGRESS, obj, lxc.cil_lxc_policy_egress),
    };
  }

  /**
   * Takes an endpoint's policy programs and policy map away: packets to it are dropped (203, DROP_EP_NOT_READY) until
   * it is loaded again. Conntrack entries are the node's and stay.
   */
  unloadLxc(endpointId: number): void {
    this.maps.cilium_call_policy.delete(endpointId);
    this.maps.cilium_egresscall_policy.delete(endpointId);
    this.maps.removePolicyMap(endpointId);
  }

  /**
   * Loads bpf_host for a device. With the host firewall the host endpoint's policy map (that of `host_ep_id`) is made
   * and its policy program put into cilium_call_policy.
   */
  loadHost(fields: Partial<ObjectConfig>): HostPrograms {
    const config = objectConfig(fields);
    const { maps, ctx } = this;
    const hfw = this.config.ENABLE_HOST_FIREWALL;
    const policy = hfw ? maps.addPolicyMap(config.host_ep_id) : null;
    // On every device samples of bpf_host have the host endpoint's id as their source.
    const obj = new LoadedObject(IS_BPF_HOST, config, config.host_ep_id, policy);
    this.#hostCalls(obj.calls);
    if (hfw) {
      obj.policyProgram = host.cil_host_policy;
      maps.cilium_call_policy.set(config.host_ep_id, obj);
    }
    return {
      from_netdev: new Program(FROM_NETDEV, (skb: Skb) => {
        ctx.enter(skb, obj);
        return host.cil_from_netdev(ctx) & VERDICT;
      }),
      to_netdev: new Program(TO_NETDEV, (skb: Skb) => {
        ctx.enter(skb, obj);
        return host.cil_to_netdev(ctx) & VERDICT;
      }),
      from_host: new Program(FROM_HOST, (skb: Skb) => {
        ctx.enter(skb, obj);
        return host.cil_from_host(ctx) & VERDICT;
      }),
      to_host: this.#program(TO_HOST, obj, host.cil_to_host),
    };
  }

  /** Loads bpf_overlay for the tunnel device, which is no endpoint: samples have source 0, there is no policy map. */
  loadOverlay(fields: Partial<ObjectConfig>): OverlayPrograms {
    const obj = new LoadedObject(IS_BPF_OVERLAY, objectConfig(fields), 0, null);
    const calls = obj.calls;
    calls[call.CILIUM_CALL_SEND_ICMP6_TIME_EXCEEDED] = tail_icmp6_send_time_exceeded;
    calls[call.CILIUM_CALL_IPV4_FROM_OVERLAY] = overlay.tail_handle_ipv4_overlay;
    calls[call.CILIUM_CALL_IPV6_FROM_OVERLAY] = overlay.tail_handle_ipv6_overlay;
    this.#nodeportCalls(calls);
    return {
      from_overlay: this.#program(FROM_OVERLAY, obj, overlay.cil_from_overlay),
      to_overlay: this.#program(TO_OVERLAY, obj, overlay.cil_to_overlay),
    };
  }

  /** Loads bpf_wireguard for cilium_wg0; source 0 and no policy map here, too. */
  loadWireguard(fields: Partial<ObjectConfig>): WireguardPrograms {
    const obj = new LoadedObject(IS_BPF_WIREGUARD, objectConfig(fields), 0, null);
    const calls = obj.calls;
    calls[call.CILIUM_CALL_SEND_ICMP6_TIME_EXCEEDED] = tail_icmp6_send_time_exceeded;
    calls[call.CILIUM_CALL_IPV4_FROM_WIREGUARD] = wireguard.tail_handle_ipv4_wireguard;
    calls[call.CILIUM_CALL_IPV6_FROM_WIREGUARD] = wireguard.tail_handle_ipv6_wireguard;
    return {
      from_wireguard: this.#program(FROM_WIREGUARD, obj, wireguard.cil_from_wireguard),
      to_wireguard: this.#program(TO_WIREGUARD, obj, wireguard.cil_to_wireguard),
    };
  }

  /** Loads bpf_xdp for a native device; `run` returns XDP verdicts and leaves the metadata word in skb.xdpMeta. */
  loadXdp(fields: Partial<ObjectConfig>): { readonly xdp_entry: Program } {
    const obj = new LoadedObject(IS_BPF_XDP, objectConfig(fields), 0, null);
    const { ctx } = this;
    xdp.fillXdpCalls(obj.calls);
    this.#nodeportCalls(obj.calls);
    return {
      xdp_entry: new Program(XDP_ENTRY, (skb: Skb) => {
        ctx.enter(skb, obj);
        return xdp.runXdpEntry(ctx);
      }),
    };
  }

  /** Loads bpf_sock: socket load balancing (ENABLE_SOCKET_LB_FULL) for the root cgroup. */
  loadSock(fields: Partial<ObjectConfig> = {}): SockPrograms {
    const obj = new LoadedObject(IS_BPF_SOCK, objectConfig(fields), 0, null);
    const { ctx } = this;
    const make = (
      hook: string,
      type: ProgramSpec["type"],
      fn: (c: Ctx, sk: sock.SockAddr) => number,
    ): SockProgram =>
      new SockProgram({ name: fn.name, type, section: `cgroup/${hook}`, file: "bpf_sock.c" }, (sk) => {
        ctx.obj = obj;
        ctx.config = obj.config;
        return fn(ctx, sk);
      });
    return {
      connect4: make("connect4", "cgroup_sock_addr", sock.cil_sock4_connect),
      sendmsg4: make("sendmsg4", "cgroup_sock_addr", sock.cil_sock4_sendmsg),
      recvmsg4: make("recvmsg4", "cgroup_sock_addr", sock.cil_sock4_recvmsg),
      getpeername4: make("getpeername4", "cgroup_sock_addr", sock.cil_sock4_getpeername),
      post_bind4: make("post_bind4", "cgroup_sock", sock.cil_sock4_post_bind),
      connect6: make("connect6", "cgroup_sock_addr", sock.cil_sock6_connect),
      sendmsg6: make("sendmsg6", "cgroup_sock_addr", sock.cil_sock6_sendmsg),
      recvmsg6: make("recvmsg6", "cgroup_sock_addr", sock.cil_sock6_recvmsg),
      getpeername6: make("getpeername6", "cgroup_sock_addr", sock.cil_sock6_getpeername),
      post_bind6: make("post_bind6", "cgroup_sock", sock.cil_sock6_post_bind),
      sock_release: make("sock_release", "cgroup_sock", sock.cil_sock_release),
    };
  }

  // A program whose entry needs nothing more than its object and the verdict without the tail-call mark.
  #program(spec: ProgramSpec, obj: LoadedObject, entry: TailCall): Program {
    const { ctx } = this;
    return new Program(spec, (skb: Skb) => {
      ctx.enter(skb, obj);
      return entry(ctx) & VERDICT;
    });
  }

  // cilium_calls of an endpoint. A slot that the configuration leaves empty makes the call fail with
  // DROP_MISSED_TAIL_CALL (140) and the index as extended error. Two chains lead to the pod: CT_INGRESS_POLICY_ONLY and
  // TO_LXC_POLICY_ONLY behind a delivery by a program, CT_INGRESS and TO_ENDPOINT behind one by the stack
  // (cil_to_container).
  #lxcCalls(calls: (TailCall | null)[]): void {
    calls[call.CILIUM_CALL_HANDLE_ICMP6_NS] = tail_icmp6_handle_ns;
    calls[call.CILIUM_CALL_SEND_ICMP6_TIME_EXCEEDED] = tail_icmp6_send_time_exceeded;
    calls[call.CILIUM_CALL_ARP] = lxc.tail_handle_arp;
    calls[call.CILIUM_CALL_IPV4_FROM_LXC] = lxc.tail_handle_ipv4;
    calls[call.CILIUM_CALL_IPV6_FROM_LXC] = lxc.tail_handle_ipv6;
    calls[call.CILIUM_CALL_IPV4_TO_LXC_POLICY_ONLY] = lxc.tail_ipv4_policy;
    calls[call.CILIUM_CALL_IPV6_TO_LXC_POLICY_ONLY] = lxc.tail_ipv6_policy;
    calls[call.CILIUM_CALL_IPV4_TO_ENDPOINT] = lxc.tail_ipv4_to_endpoint;
    calls[call.CILIUM_CALL_IPV6_TO_ENDPOINT] = lxc.tail_ipv6_to_endpoint;
    calls[call.CILIUM_CALL_IPV4_FROM_LXC_CONT] = lxc.tail_handle_ipv4_cont;
    calls[call.CILIUM_CALL_IPV6_FROM_LXC_CONT] = lxc.tail_handle_ipv6_cont;
    calls[call.CILIUM_CALL_IPV4_CT_INGRESS] = lxc.tail_ipv4_ct_ingress;
    calls[call.CILIUM_CALL_IPV6_CT_INGRESS] = lxc.tail_ipv6_ct_ingress;
    calls[call.CILIUM_CALL_IPV4_CT_INGRESS_POLICY_ONLY] = lxc.tail_ipv4_ct_ingress_policy_only;
    calls[call.CILIUM_CALL_IPV6_CT_INGRESS_POLICY_ONLY] = lxc.tail_ipv6_ct_ingress_policy_only;
    calls[call.CILIUM_CALL_IPV4_CT_EGRESS] = lxc.tail_ipv4_ct_egress;
    calls[call.CILIUM_CALL_IPV6_CT_EGRESS] = lxc.tail_ipv6_ct_egress;
    calls[call.CILIUM_CALL_IPV4_POLICY_DENIED] = lxc.tail_policy_denied_ipv4;
    // Of the programs of nodeport.h that translate, a pod's object has those for replies only.
    if (this.config.ENABLE_NODEPORT) {
      calls[call.CILIUM_CALL_IPV4_NODEPORT_REVNAT] = nodeport.tail_nodeport_rev_dnat_ipv4;
      calls[call.CILIUM_CALL_IPV6_NODEPORT_REVNAT_EGRESS] = nodeport.tail_nodeport_rev_dnat_egress_ipv6;
    }
    if (this.config.SERVICE_NO_BACKEND_RESPONSE) {
      calls[call.CILIUM_CALL_IPV4_NO_SERVICE] = nodeport.tail_no_service_ipv4;
      calls[call.CILIUM_CALL_IPV6_NO_SERVICE] = nodeport.tail_no_service_ipv6;
    }
  }

  // cilium_calls of bpf_host. FROM_NETDEV is also where reverse SNAT sends back what is no reply of its own.
  #hostCalls(calls: (TailCall | null)[]): void {
    calls[call.CILIUM_CALL_HANDLE_ICMP6_NS] = tail_icmp6_handle_ns;
    calls[call.CILIUM_CALL_SEND_ICMP6_TIME_EXCEEDED] = tail_icmp6_send_time_exceeded;
    calls[call.CILIUM_CALL_IPV4_FROM_NETDEV] = host.tail_handle_ipv4_from_netdev;
    calls[call.CILIUM_CALL_IPV6_FROM_NETDEV] = host.tail_handle_ipv6_from_netdev;
    calls[call.CILIUM_CALL_IPV4_FROM_HOST] = host.tail_handle_ipv4_from_host;
    calls[call.CILIUM_CALL_IPV6_FROM_HOST] = host.tail_handle_ipv6_from_host;
    if (this.config.ENABLE_HOST_FIREWALL) {
      calls[call.CILIUM_CALL_IPV4_TO_HOST_POLICY_ONLY] = host.tail_ipv4_host_policy_ingress;
      calls[call.CILIUM_CALL_IPV6_TO_HOST_POLICY_ONLY] = host.tail_ipv6_host_policy_ingress;
      calls[call.CILIUM_CALL_IPV4_CONT_FROM_HOST] = host.tail_handle_ipv4_cont_from_host;
      calls[call.CILIUM_CALL_IPV4_CONT_FROM_NETDEV] = host.tail_handle_ipv4_cont_from_netdev;
      calls[call.CILIUM_CALL_IPV6_CONT_FROM_HOST] = host.tail_handle_ipv6_cont_from_host;
      calls[call.CILIUM_CALL_IPV6_CONT_FROM_NETDEV] = host.tail_handle_ipv6_cont_from_netdev;
    }
    this.#nodeportCalls(calls);
  }

  // The tail calls of nodeport.h, which every object that sees service traffic is compiled with.
  #nodeportCalls(calls: (TailCall | null)[]): void {
    if (!this.config.ENABLE_NODEPORT) return;
    calls[call.CILIUM_CALL_IPV4_NODEPORT_NAT_EGRESS] = nodeport.tail_nodeport_nat_egress_ipv4;
    calls[call.CILIUM_CALL_IPV6_NODEPORT_NAT_EGRESS] = nodeport.tail_nodeport_nat_egress_ipv6;
    calls[call.CILIUM_CALL_IPV4_NODEPORT_REVNAT] = nodeport.tail_nodeport_rev_dnat_ipv4;
    calls[call.CILIUM_CALL_IPV6_NODEPORT_REVNAT_INGRESS] = nodeport.tail_nodeport_rev_dnat_ingress_ipv6;
    calls[call.CILIUM_CALL_IPV6_NODEPORT_REVNAT_EGRESS] = nodeport.tail_nodeport_rev_dnat_egress_ipv6;
    calls[call.CILIUM_CALL_IPV4_NODEPORT_NAT_INGRESS] = nodeport.tail_nodeport_nat_ingress_ipv4;
    calls[call.CILIUM_CALL_IPV6_NODEPORT_NAT_INGRESS] = nodeport.tail_nodeport_nat_ingress_ipv6;
    calls[call.CILIUM_CALL_IPV4_NODEPORT_NAT_FWD] = nodeport_egress.tail_handle_nat_fwd_ipv4;
    calls[call.CILIUM_CALL_IPV6_NODEPORT_NAT_FWD] = nodeport_egress.tail_handle_nat_fwd_ipv6;
    calls[call.CILIUM_CALL_IPV4_NODEPORT_SNAT_FWD] = nodeport_egress.tail_handle_snat_fwd_ipv4;
    calls[call.CILIUM_CALL_IPV6_NODEPORT_SNAT_FWD] = nodeport_egress.tail_handle_snat_fwd_ipv6;
    if (this.config.ENABLE_DSR) {
      calls[call.CILIUM_CALL_IPV4_NODEPORT_DSR] = tail_nodeport_ipv4_dsr;
      calls[call.CILIUM_CALL_IPV6_NODEPORT_DSR] = tail_nodeport_ipv6_dsr;
    }
    if (this.config.SERVICE_NO_BACKEND_RESPONSE) {
      calls[call.CILIUM_CALL_IPV4_NO_SERVICE] = nodeport.tail_no_service_ipv4;
      calls[call.CILIUM_CALL_IPV6_NO_SERVICE] = nodeport.tail_no_service_ipv6;
    }
  }
}

// What is left of a return value without TAIL_CALLED; the programs return no TC_ACT_UNSPEC.
const VERDICT = 0xff;

/** A node's datapath; its programs come from the `load` methods. */
export function createDatapath(options: DatapathOptions): NodeDatapath {
  return new NodeDatapath(options);
}
