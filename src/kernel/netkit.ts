// drivers/net/netkit.c: a pair of devices whose programs run when a device transmits, not when its peer receives.
//
//   primary (host side)                    peer (in the pod)
//     xmit: primary's programs  ------->     backlog, receive
//     backlog, receive          <-------     xmit: peer's programs
//
// A program sees a packet that has crossed already: skb->dev is the device opposite, and redirects, look-ups and names are
// those of its namespace. What leaves a pod is thus handled in the sender's context, with no backlog in between unless the
// program lets it pass to the stack. A device without program does what its policy says.

import type { Program } from "../bpf/program.js";
import type { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { NETKIT_DROP, NETKIT_NEXT, NETKIT_PASS, NETKIT_REDIRECT } from "../bpf/verdict.js";
import { netif_rx, skb_do_redirect } from "./dev.js";
import {
  ETH_HLEN,
  IFF_NOARP,
  IFF_UP,
  NetDevice,
  RX_BYTES,
  RX_PACKETS,
  TX_BYTES,
  TX_DROPPED,
  TX_PACKETS,
} from "./device.js";
import * as R from "./drop_reason.js";
import { eth_skb_pkt_type } from "./eth.js";
import { REDIR_NONE } from "./kernel.js";
import { kfree_skb_reason, skb_scrub_packet, skb_set_dev } from "./skbuff.js";
import type { VethEnd } from "./veth.js";

/** enum netkit_mode, as `ip link` spells it. */
export type NetkitMode = "l2" | "l3";
/** What a device does with packets while it has no program, as `ip link` spells it. */
export type NetkitPolicy = "forward" | "blackhole";
/** enum netkit_scrub: whether mark and priority are cleared before the program when the packet changes namespace. */
export type NetkitScrub = "none" | "default";

export interface NetkitEnd extends Omit<VethEnd, "mac"> {
  /** Six bytes; L2 only, since an L3 pair has no addresses. */
  readonly mac?: Uint8Array;
  readonly policy: NetkitPolicy;
  readonly scrub: NetkitScrub;
}

/** NET_XMIT_DROP. */
const NET_XMIT_DROP = 1;

/** Attach points as walk records number them. */
const AT_PRIMARY = 3;
const AT_PEER = 4;

export class NetkitDevice extends NetDevice {
  override readonly kind = "netkit";
  peer: NetkitDevice | null = null;
  /** Programs of this device's transmit path (a bpf_mprog), in order: the first that does not say NETKIT_NEXT decides. */
  programs: readonly Program[] = [];
  readonly policy: NetkitPolicy;
  readonly scrub: NetkitScrub;

  constructor(
    readonly mode: NetkitMode,
    readonly primary: boolean,
    end: NetkitEnd,
  ) {
    super(end.ns, end.name, end.ifindex ?? 0);
    this.mtu = end.mtu ?? 1500;
    this.policy = end.policy;
    this.scrub = end.scrub;
    // L3: Ethernet headers with all-zero addresses, and nobody to ask for others.
    if (mode === "l3") this.flags |= IFF_NOARP;
    else if (end.mac !== undefined) this.setMac(end.mac);
  }

  /** Makes both ends; both are down. */
  static pair(mode: NetkitMode, primary: NetkitEnd, peer: NetkitEnd): [NetkitDevice, NetkitDevice] {
    const x = new NetkitDevice(mode, true, primary);
    const y = new NetkitDevice(mode, false, peer);
    x.peer = y;
    y.peer = x;
    return [x, y];
  }

  override peerDev(): NetDevice | null {
    return this.peer;
  }

  /** netkit_xmit. */
  override xmit(skb: Skb): number {
    const peer = this.peer;
    const len = skb.tail - skb.data;
    if (peer === null || (peer.flags & IFF_UP) === 0 || len < ETH_HLEN) return this.#drop(skb);
    // netkit_prep_forward
    skb_scrub_packet(skb, false);
    skb.mac = skb.data;
    if (peer.ns !== this.ns) {
      skb.ipvsProperty = false;
      skb.tstamp[0] = 0;
      if (this.scrub === "default") {
        skb.mark = 0;
        skb.priority = 0;
      }
    }
    // Before the programs, so that a packet type that they set stays.
    eth_skb_pkt_type(skb, peer);
    skb_set_dev(skb, peer);
    switch (this.#run(skb, peer)) {
      case NETKIT_NEXT:
      case NETKIT_PASS:
        skb.mac = skb.data;
        skb.data += ETH_HLEN;
        if (netif_rx(skb) !== 0) {
          this.stats[TX_DROPPED]!++;
          return NET_XMIT_DROP;
        }
        this.stats[TX_PACKETS]!++;
        this.stats[TX_BYTES]! += len;
        peer.stats[RX_PACKETS]!++;
        peer.stats[RX_BYTES]! += len;
        return 0;
      case NETKIT_REDIRECT:
        this.stats[TX_PACKETS]!++;
        this.stats[TX_BYTES]! += len;
        // Not at tc ingress: redirect_peer is refused and drops the packet.
        skb_do_redirect(skb, peer, false);
        return 0;
      default:
        return this.#drop(skb);
    }
  }

  /** netkit_run. */
  #run(skb: Skb, peer: NetkitDevice): number {
    const programs = this.programs;
    let ret = this.policy === "forward" ? NETKIT_PASS : NETKIT_DROP;
    const recorder = peer.ns.recorder;
    for (let i = 0; i < programs.length; i++) {
      const prog = programs[i]!;
      peer.ns.kernel.ri.kind = REDIR_NONE;
      if (recorder !== null) recorder.step(Step.PROG, skb, prog, this.primary ? AT_PRIMARY : AT_PEER, 0, 0);
      ret = prog.run(skb);
      if (recorder !== null) recorder.step(Step.PROG_END, skb, prog, ret, 0, 0);
      if (ret !== NETKIT_NEXT) break;
    }
    return ret;
  }

  #drop(skb: Skb): number {
    this.stats[TX_DROPPED]!++;
    kfree_skb_reason((skb.dev as NetDevice).ns, skb, R.NOT_SPECIFIED);
    return NET_XMIT_DROP;
  }
}
