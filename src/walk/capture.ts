// tcpdump on devices of a lab: frames as they pass the taps, kept as pcapng with one interface a device.

import { NS_PER_SEC, type VirtualClock } from "../base/clock.js";
import type { Skb } from "../bpf/skb.js";
import type { NetDevice, Tap } from "../kernel/device.js";
import { LINKTYPE_ETHERNET, LINKTYPE_RAW } from "../net/link_type.js";
import { DIRECTION_INBOUND, DIRECTION_OUTBOUND, PcapngWriter } from "../net/pcapng.js";

/** A frame as a tap saw it. */
export interface CapturedFrame {
  readonly device: NetDevice;
  /** Virtual time, ns. */
  readonly ns: number;
  readonly outgoing: boolean;
  readonly bytes: Uint8Array;
}

/** Sees every frame of the devices given until `stop`. */
export class Capture implements Tap {
  readonly frames: CapturedFrame[] = [];

  constructor(
    private readonly clock: VirtualClock,
    /** Devices with the names that the file gives them. */
    private readonly devices: ReadonlyMap<NetDevice, string>,
  ) {
    for (const d of devices.keys()) d.addTap(this);
  }

  packet(device: NetDevice, skb: Skb, from: number, outgoing: boolean): void {
    this.frames.push({ device, ns: this.clock.ns, outgoing, bytes: skb.bytes.slice(from, skb.tail) });
  }

  /** Detaches; the frames stay. */
  stop(): void {
    for (const d of this.devices.keys()) d.removeTap(this);
  }

  /** The capture as a pcapng file: nanosecond times, direction in the flags of each packet. */
  toPcapng(): Uint8Array {
    const w = new PcapngWriter({ application: "podpath" });
    const index = new Map<NetDevice, number>();
    for (const [d, name] of this.devices) {
      const linkType = d.hardHeaderLen === 0 ? LINKTYPE_RAW : LINKTYPE_ETHERNET;
      index.set(d, w.addInterface({ name, linkType }));
    }
    for (const f of this.frames) {
      const sec = Math.floor(f.ns / NS_PER_SEC);
      const flags = f.outgoing ? DIRECTION_OUTBOUND : DIRECTION_INBOUND;
      w.packet(index.get(f.device)!, sec, f.ns - sec * NS_PER_SEC, f.bytes, { flags });
    }
    return w.take();
  }
}
