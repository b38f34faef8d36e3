// tcpdump on a device of a lab: what it saw, as text.

import type { NetDevice } from "../../src/kernel/device.js";
import type { Lab } from "../../src/lab.js";
import { describeFrame } from "../../src/net/describe.js";
import { LINKTYPE_ETHERNET, LINKTYPE_RAW } from "../../src/net/link_type.js";

export class Capture {
  readonly frames: Uint8Array[] = [];
  readonly #raw: boolean;

  constructor(readonly dev: NetDevice) {
    this.#raw = dev.hardHeaderLen === 0;
    dev.addTap({
      packet: (_dev, skb, from) => {
        this.frames.push(skb.bytes.slice(from, skb.tail));
      },
    });
  }

  /** One text for each frame, with the Ethernet header where the device has one, and the TTL of each IPv4 header. */
  lines(): string[] {
    return this.frames.map((f) => {
      const text = describeFrame(
        f,
        this.#raw ? { linkType: LINKTYPE_RAW } : { linkType: LINKTYPE_ETHERNET, ether: true },
      );
      const ttl = ttls(f, this.#raw ? 0 : 14);
      return ttl.length === 0 ? text : `ttl ${ttl.join("/")} ${text}`;
    });
  }

  clear(): void {
    this.frames.length = 0;
  }
}

/** Captures on a device of a pod (`pod/a`), a node (`node/n`) or a host. */
export function capture(lab: Lab, where: string, device: string): Capture {
  const dev = lab.endpoint(where).ns!.devByName(device);
  if (dev === null) throw new Error(`${where} has no device ${device}`);
  return new Capture(dev);
}

/** TTLs of the IPv4 headers from the outermost in, through IPIP. */
function ttls(f: Uint8Array, at: number): number[] {
  if (at === 14 && (f[12] !== 8 || f[13] !== 0)) return [];
  const own = f[at + 8]!;
  return f[at + 9] === 4 ? [own, ...ttls(f, at + (f[at]! & 15) * 4)] : [own];
}
