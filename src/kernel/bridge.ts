// net/bridge: a learning bridge without STP. The bridge device is also a port of the host.

import type { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { br_drop_fake_rtable, br_nf_dev_xmit, br_nf_forward } from "./br_netfilter.js";
import { dev_queue_xmit, netif_receive_skb } from "./dev.js";
import { IFF_UP, NetDevice, RX_BYTES, RX_PACKETS, TX_BYTES, TX_PACKETS } from "./device.js";
import * as R from "./drop_reason.js";
import { eth_type_trans, macKey } from "./eth.js";
import type { Netns } from "./netns.js";
import { kfree_skb_reason, skb_copy, skb_set_dev } from "./skbuff.js";

/** An entry of the forwarding database. */
export interface FdbEntry {
  /** null: the bridge itself. */
  port: BridgePort | null;
  isLocal: boolean;
  isStatic: boolean;
  updatedNs: number;
}

/** struct net_bridge_port. */
export class BridgePort {
  hairpin = false;
  learning = true;
  flood = true;
  isolated = false;

  constructor(
    readonly br: BridgeDevice,
    readonly dev: NetDevice,
  ) {}
}

export class BridgeDevice extends NetDevice {
  override readonly kind = "bridge";
  readonly ports: BridgePort[] = [];
  readonly fdb = new Map<number, FdbEntry>();
  /** Seconds. */
  ageing = 300;

  constructor(ns: Netns, name: string, mac: Uint8Array, mtu = 1500) {
    super(ns, name);
    this.setMac(mac);
    this.mtu = mtu;
    this.carrier = false;
    // A bridged packet whose destination was translated comes back through br_dev_xmit with its route.
    this.keepDst = true;
    this.#addLocal(this);
  }

  /** br_update carrier: a bridge has one when a port has. Routes through it say `linkdown` otherwise. */
  updateCarrier(): void {
    const on = this.ports.some((p) => p.dev.up && p.dev.carrier);
    if (on === this.carrier) return;
    this.carrier = on;
    this.ns.fib.carrierChanged(this);
  }

  #addLocal(dev: NetDevice): void {
    this.fdb.set(macKey(dev.mac, 0), { port: null, isLocal: true, isStatic: true, updatedNs: 0 });
  }

  /** `ip link set DEV master BR`. */
  addPort(dev: NetDevice): BridgePort {
    const p = new BridgePort(this, dev);
    this.ports.push(p);
    dev.master = this;
    dev.brPort = p;
    this.#addLocal(dev);
    this.updateCarrier();
    return p;
  }

  removePort(dev: NetDevice): void {
    const at = this.ports.findIndex((p) => p.dev === dev);
    if (at < 0) return;
    const p = this.ports[at]!;
    this.ports.splice(at, 1);
    dev.master = null;
    dev.brPort = null;
    for (const [k, e] of this.fdb) if (e.port === p) this.fdb.delete(k);
    this.fdb.delete(macKey(dev.mac, 0));
    this.updateCarrier();
  }

  /** br_fdb_update: learns the sender of a frame at `off`. */
  learn(b: Uint8Array, off: number, port: BridgePort): void {
    if ((b[off]! & 1) !== 0) return;
    const k = macKey(b, off);
    const now = this.ns.kernel.clock.ns;
    const e = this.fdb.get(k);
    if (e === undefined) this.fdb.set(k, { port, isLocal: false, isStatic: false, updatedNs: now });
    else if (!e.isLocal) {
      e.updatedNs = now;
      if (!e.isStatic) e.port = port;
    }
  }

  /** The live entry of the MAC at `off`, or undefined. */
  find(b: Uint8Array, off: number): FdbEntry | undefined {
    const k = macKey(b, off);
    const e = this.fdb.get(k);
    if (e !== undefined && !e.isStatic && this.ns.kernel.clock.ns > e.updatedNs + this.ageing * 1e9) {
      this.fdb.delete(k);
      return undefined;
    }
    return e;
  }

  /** br_dev_xmit: the host sends through its bridge. */
  override xmit(skb: Skb): number {
    if (br_nf_dev_xmit(skb)) return 0;
    this.stats[TX_PACKETS]!++;
    this.stats[TX_BYTES]! += skb.tail - skb.data;
    const d = skb.data;
    const e = (skb.bytes[d]! & 1) !== 0 ? undefined : this.find(skb.bytes, d);
    if (e !== undefined && e.port !== null) br_forward(skb, this, e.port, null);
    else if (e !== undefined) kfree_skb_reason(this.ns, skb, R.NOT_SPECIFIED);
    else this.flood(skb, null, false);
    return 0;
  }

  /** br_flood: to every port but the one it came from. With `local` a copy goes to the host. */
  flood(skb: Skb, from: BridgePort | null, local: boolean): void {
    const k = this.ns.kernel;
    let prev: BridgePort | null = null;
    if (this.ns.recorder !== null) this.ns.recorder.step(Step.BRIDGE, skb, null, 0, 0, 0);
    for (let i = 0; i < this.ports.length; i++) {
      const p = this.ports[i]!;
      if (!shouldDeliver(p, from)) continue;
      if (prev !== null) br_send(skb_copy(k, skb), prev);
      prev = p;
    }
    if (local) {
      if (prev !== null) br_send(skb_copy(k, skb), prev);
      this.passUp(skb);
      return;
    }
    if (prev !== null) br_send(skb, prev);
    else kfree_skb_reason(this.ns, skb, R.NO_TX_TARGET);
  }

  /** br_pass_frame_up: to the host, as received on the bridge device. `data` is the Ethernet header. */
  passUp(skb: Skb): void {
    if ((this.flags & IFF_UP) === 0) {
      kfree_skb_reason(this.ns, skb, R.NOT_SPECIFIED);
      return;
    }
    this.stats[RX_PACKETS]!++;
    this.stats[RX_BYTES]! += skb.tail - skb.data - 14;
    const type = skb.pktType;
    br_drop_fake_rtable(skb, this);
    // The trace id of nf_tables is made of the packet, its hash and skb_iif: received again, it is another.
    const trace = skb.nfTrace !== 0 && skb.physInDev !== null ? (this.ns.nf?.trace ?? null) : null;
    if (trace !== null) skb.nfTrace = trace.newId();
    eth_type_trans(skb, this);
    // A frame for the MAC of a port is for this host.
    if (type === 0) skb.pktType = 0;
    netif_receive_skb(skb);
  }
}

function shouldDeliver(p: BridgePort, from: BridgePort | null): boolean {
  if (p === from && !p.hairpin) return false;
  if (from?.isolated && p.isolated) return false;
  return p.dev.up && p.dev.carrier;
}

/** br_forward to one port; takes the packet. */
export function br_forward(skb: Skb, br: BridgeDevice, p: BridgePort, from: BridgePort | null): void {
  if (!shouldDeliver(p, from)) {
    kfree_skb_reason(br.ns, skb, R.NOT_SPECIFIED);
    return;
  }
  if (br.ns.recorder !== null) br.ns.recorder.step(Step.BRIDGE, skb, p.dev, 0, 0, 0);
  br_send(skb, p);
}

function br_send(skb: Skb, p: BridgePort): void {
  if (skb.physInDev === null || br_nf_forward(skb, p)) br_dev_queue_push_xmit(skb, p);
}

/** br_dev_queue_push_xmit; `data` is the Ethernet header. */
export function br_dev_queue_push_xmit(skb: Skb, p: BridgePort): void {
  // is_skb_forwardable
  if (skb.tail - skb.data > p.dev.mtu + 18) {
    kfree_skb_reason(p.br.ns, skb, R.NOT_SPECIFIED);
    return;
  }
  skb_set_dev(skb, p.dev);
  dev_queue_xmit(skb);
}
