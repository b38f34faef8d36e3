// The WireGuard device between two machines on a wire: what is on the wire, when, and what is refused.
import { describe, expect, it } from "vitest";
import { ChaCha20Poly1305 } from "../../../../src/base/crypto/chacha20poly1305.js";
import { Prng } from "../../../../src/base/prng.js";
import { Skb } from "../../../../src/bpf/skb.js";
import { inject } from "../../../../src/kernel/dev.js";
import {
  type NetDevice,
  RX_BYTES,
  RX_ERRORS,
  RX_PACKETS,
  type Tap,
  TX_BYTES,
  TX_DROPPED,
  TX_ERRORS,
  TX_PACKETS,
} from "../../../../src/kernel/device.js";
import { ip_command } from "../../../../src/kernel/iproute.js";
import type { Topology } from "../../../../src/kernel/topology.js";
import { WireguardDevice } from "../../../../src/kernel/wireguard/device.js";
import { StaticIdentity } from "../../../../src/kernel/wireguard/noise.js";
import type { WireguardPeer } from "../../../../src/kernel/wireguard/peer.js";
import { parseIpv4 } from "../../../../src/net/address.js";
import { KernelNet } from "../../../support/kernel_net.js";

const WIRE: Topology = {
  netns: {
    n1: { addresses: [{ dev: "eth0", addr: "192.168.0.1/24" }] },
    n2: { addresses: [{ dev: "eth0", addr: "192.168.0.2/24" }] },
  },
  links: [
    {
      kind: "veth",
      ends: [
        { ns: "n1", name: "eth0", mac: "02:00:00:00:00:01" },
        { ns: "n2", name: "eth0", mac: "02:00:00:00:00:02" },
      ],
    },
  ],
};

const TYPES = ["", "initiation", "response", "cookie", "data"];

/** UDP datagrams of a device, as `<ms> <direction> <what>`, and their frames. */
class WireTap implements Tap {
  readonly lines: string[] = [];
  readonly frames: Uint8Array[] = [];

  constructor(dev: NetDevice) {
    dev.addTap(this);
  }

  packet(dev: NetDevice, skb: { bytes: Uint8Array; tail: number }, from: number, outgoing: boolean): void {
    const f = skb.bytes.slice(from, skb.tail);
    if (f[12] !== 8 || f[13] !== 0 || f[23] !== 17) return;
    this.frames.push(f);
    const ms = Math.round((dev.ns.kernel.clock.ns - 1e12) / 1e6);
    this.lines.push(`${ms} ${outgoing ? ">" : "<"} ${TYPES[f[42]!]} ${f.length - 42}`);
  }
}

class Pair extends KernelNet {
  readonly wg: readonly WireguardDevice[];
  readonly peer: readonly WireguardPeer[];
  readonly wire: WireTap;

  constructor(allow = 24) {
    super(WIRE);
    const prng = new Prng(3);
    const ids = [StaticIdentity.random(prng), StaticIdentity.random(prng)];
    this.wg = ids.map((identity, i) => {
      const ns = this.ns(`n${i + 1}`);
      const dev = new WireguardDevice(ns, "wg0", { identity, listenPort: 51820, fwmark: 0xca6c });
      ip_command(ns, ["addr", "add", `10.0.${i + 1}.1/32`, "dev", "wg0"]);
      ip_command(ns, ["link", "set", "wg0", "up"]);
      ip_command(ns, ["route", "add", `10.0.${2 - i}.0/24`, "dev", "wg0"]);
      return dev;
    });
    this.peer = this.wg.map((dev, i) => {
      const p = dev.addPeer({
        publicKey: ids[1 - i]!.publicKey,
        endpoint: parseIpv4(`192.168.0.${2 - i}`),
        port: 51820,
      });
      dev.allow(p, Uint8Array.of(10, 0, 2 - i, 0), allow);
      return p;
    });
    this.wire = new WireTap(this.dev("n1", "eth0"));
  }

  counters(i: number): number[] {
    return [RX_PACKETS, RX_BYTES, TX_PACKETS, TX_BYTES].map((c) => this.wg[i]!.stats[c]!);
  }
}

describe("WireguardDevice", () => {
  it("shakes hands before the first packet, which waits and confirms the session", () => {
    const net = new Pair();
    expect(net.ping("n1", "10.0.2.1", { size: 56 }).reply).not.toBeNull();
    // 84 bytes of IP, padded to 96.
    expect(net.wire.lines).toEqual(["0 > initiation 148", "0 < response 92", "0 > data 128", "0 < data 128"]);
    expect(net.ping("n2", "10.0.1.1", { size: 0 }).reply).not.toBeNull();
    // 28 bytes, padded to 32; the responder uses the session that it was shown.
    expect(net.wire.lines.slice(4)).toEqual(["10 < data 64", "10 > data 64"]);
  });

  it("marks handshakes AF41 and data by the inner packet, with DF never set and a UDP checksum", () => {
    const net = new Pair();
    net.ping("n1", "10.0.2.1");
    expect(net.wire.frames.map((f) => f[15])).toEqual([0x88, 0x88, 0, 0]);
    expect(
      net.wire.frames.map((f) => [f[20]! & 0x40, f[22], (f[40]! << 8) | f[41]! ? "sum" : "none"]),
    ).toEqual([0, 1, 2, 3].map(() => [0, 64, "sum"]));
  });

  it("puts the inner packet, padded with zeros, under the session's key with the counter as nonce", () => {
    const net = new Pair();
    net.ping("n1", "10.0.2.1", { size: 56 });
    net.ping("n1", "10.0.2.1", { size: 56 });
    const key = net.peer[0]!.current!.sending.key;
    const sent = [net.wire.frames[2]!, net.wire.frames[4]!];
    const inner = sent.map((f) => {
      const v = new DataView(f.buffer);
      const b = f.slice(42 + 16);
      expect(v.getUint32(46, true)).toBe(net.peer[0]!.current!.remoteIndex);
      expect(new ChaCha20Poly1305(key).open(b, 0, 96, 0, v.getUint32(50, true), 0)).toBe(true);
      return b;
    });
    expect(sent.map((f) => new DataView(f.buffer).getUint32(50, true))).toEqual([0, 1]);
    expect(inner.map((b) => [b[0], (b[2]! << 8) | b[3]!, [...b.slice(12, 20)].join(".")])).toEqual(
      [0, 1].map(() => [0x45, 84, "10.0.1.1.10.0.2.1"]),
    );
    expect(inner[0]!.slice(84, 96)).toEqual(new Uint8Array(12));
  });

  it("counts what was encrypted and the messages received", () => {
    const net = new Pair();
    net.ping("n1", "10.0.2.1", { size: 56 });
    // Sent: 148 + 96 + 16. Received: 92 + 128.
    expect(net.counters(0)).toEqual([2, 220, 2, 260]);
    expect(net.counters(1)).toEqual([2, 276, 2, 204]);
    expect([net.peer[0]!.txBytes, net.peer[0]!.rxBytes]).toEqual([276, 220]);
  });

  it("tells a silent receiver's peer after ten seconds that the packet arrived", () => {
    const net = new Pair();
    net.ping("n1", "10.0.2.1");
    net.ms(9_900);
    expect(net.wire.lines.slice(4)).toEqual([]);
    net.ms(1_000);
    // The initiator had the answer, the responder the request that it answered: only the former owes something.
    expect(net.wire.lines.slice(4).map((l) => l.replace(/^\d+/, "t"))).toEqual(["t > data 32"]);
    net.ms(60_000);
    expect(net.wire.lines.length).toBe(5);
  });

  it("renews the session with the first packet after two minutes, and gives an old one up after three", () => {
    const net = new Pair();
    net.ping("n1", "10.0.2.1");
    const first = net.peer[0]!.current;
    net.ms(121_000);
    const before = net.wire.lines.length;
    expect(net.ping("n1", "10.0.2.1").reply).not.toBeNull();
    const kinds = () =>
      net.wire.lines
        .slice(before)
        .map((l) => l.split(" ").slice(1, 3).join(" "))
        .join(", ");
    // Sent with the old key; nothing waits when the new one is there, so a keepalive confirms it.
    expect(kinds()).toBe("> data, > initiation, < response, > data, < data");
    expect(net.peer[0]!.previous).toBe(first);
    net.ms(200_000);
    const late = net.wire.lines.length;
    expect(net.ping("n2", "10.0.1.1").reply).not.toBeNull();
    expect(
      net.wire.lines
        .slice(late)
        .map((l) => l.split(" ")[2])
        .join(", "),
    ).toBe("initiation, response, data, data");
  });

  it("asks again every five seconds and a bit, and drops what waits after nineteen more attempts", () => {
    const net = new Pair();
    ip_command(net.ns("n2"), ["link", "set", "wg0", "down"]);
    expect(net.ping("n1", "10.0.2.1", { waitMs: 1 }).reply).toBeNull();
    net.ms(120_000);
    const times = net.wire.lines.filter((l) => l.includes("initiation")).map((l) => Number(l.split(" ")[0]));
    expect(times.length).toBe(20);
    for (let i = 1; i < times.length; i++) {
      expect(times[i]! - times[i - 1]!).toBeGreaterThanOrEqual(5_000);
      expect(times[i]! - times[i - 1]!).toBeLessThan(5_500);
    }
    expect(net.wg[0]!.stats[TX_DROPPED]).toBe(1);
    // A new packet begins again.
    net.ms(10_000);
    net.ping("n1", "10.0.2.1", { waitMs: 1 });
    expect(net.wire.lines.at(-2)).toContain("initiation");
  });

  it("keeps 128 packets while there is no session, the newest ones", () => {
    const net = new Pair();
    ip_command(net.ns("n2"), ["link", "set", "wg0", "down"]);
    for (let i = 0; i < 130; i++) net.ping("n1", "10.0.2.1", { waitMs: 1 });
    expect(net.wg[0]!.stats[TX_DROPPED]).toBe(2);
    ip_command(net.ns("n2"), ["link", "set", "wg0", "up"]);
    net.ms(6_000);
    expect(net.wire.lines.filter((l) => l.includes("> data")).length).toBe(128);
  });

  it("refuses a destination that no peer has, and a source that the peer may not use", () => {
    const net = new Pair(32);
    // 10.0.2.0/32 is allowed, 10.0.2.1 is not.
    net.ping("n1", "10.0.2.1");
    expect(net.wg[0]!.stats[TX_ERRORS]).toBe(1);
    expect(net.wire.lines).toEqual([]);
    net.wg[0]!.allow(net.peer[0]!, Uint8Array.of(10, 0, 2, 1), 32);
    expect(net.ping("n1", "10.0.2.1").reply).toBeNull();
    expect(net.wg[1]!.stats[RX_ERRORS]).toBe(1);
    expect(net.wire.lines.map((l) => l.split(" ")[2])).toEqual(["initiation", "response", "data"]);
  });

  it("takes no message twice, and none that was changed", () => {
    const net = new Pair();
    net.ping("n1", "10.0.2.1");
    const received = () => net.wg[1]!.stats[RX_PACKETS];
    const replay = (frame: Uint8Array): void => {
      const skb = new Skb();
      skb.setFrame(frame);
      inject(net.dev("n2", "eth0"), skb);
      net.ms(1);
    };
    const before = received();
    const [initiation, , data] = net.wire.frames;
    replay(initiation!);
    replay(data!);
    const changed = data!.slice();
    changed[60]! ^= 1;
    // Without a checksum, so that the cipher is asked.
    changed[40] = 0;
    changed[41] = 0;
    replay(changed);
    expect(received()).toBe(before);
  });

  it("lets the newer of two prefixes of the same length have it, and prefers the longer one", () => {
    const net = new Pair();
    const dev = net.wg[0]!;
    const other = dev.addPeer({ publicKey: new Uint8Array(32).fill(9), endpoint: 0, port: 0 });
    const packet = Uint8Array.of(...[0x45], ...new Uint8Array(15), ...[10, 0, 2, 77]);
    expect(dev.allowedIps.lookupDst(packet, 0)).toBe(net.peer[0]);
    dev.allow(other, Uint8Array.of(10, 0, 2, 64), 26);
    expect(dev.allowedIps.lookupDst(packet, 0)).toBe(other);
    dev.allow(net.peer[0]!, Uint8Array.of(10, 0, 2, 64), 26);
    expect(dev.allowedIps.lookupDst(packet, 0)).toBe(net.peer[0]);
    expect(dev.allowedIps.list.length).toBe(2);
  });

  it("shakes hands over the same bytes in every run", () => {
    const run = (): string[] => {
      const net = new Pair();
      net.ping("n1", "10.0.2.1");
      return net.wire.frames.map((f) => f.join(","));
    };
    expect(run()).toEqual(run());
  });
});
