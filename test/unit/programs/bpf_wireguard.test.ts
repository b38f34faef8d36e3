// Datapath facts, scenario (p): what the programs do for WireGuard in native routing, device by device.
import { describe, expect, it } from "vitest";
import { CiliumMaps } from "../../../maps/cilium_maps.js";
import { IpcacheKey, IpcacheValue } from "../../../maps/ipcache.js";
import { profileOf } from "../../../monitor/release.js";
import { compileConfig } from "../../../programs/config.js";
import { createDatapath } from "../../../programs/datapath.js";
import { VirtualClock } from "../../../src/base/clock.js";
import { PlainHelpers } from "../../../src/bench/programs_node.js";
import type { Program } from "../../../src/bpf/program.js";
import { Skb } from "../../../src/bpf/skb.js";
import { parseIpv4 } from "../../../src/net/address.js";
import { EventText } from "../../support/event_trace.js";

const POD_A = "10.0.0.11";
const POD_C = "10.0.1.21";
const NODE_1 = "192.168.0.11";
const NODE_2 = "192.168.0.12";
const ETH0 = 2;
const WG0 = 9;
const MARK_IDENTITY = 0x0f00;
const MARK_ENCRYPT = 0x0e00;

function udp(src: string, dst: string, sport: number, dport: number): Uint8Array {
  const f = new Uint8Array(60);
  f.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0]);
  const v = new DataView(f.buffer);
  v.setUint16(16, 46);
  f[22] = 64;
  f[23] = 17;
  f.set(src.split(".").map(Number), 26);
  f.set(dst.split(".").map(Number), 30);
  v.setUint16(34, sport);
  v.setUint16(36, dport);
  v.setUint16(38, 26);
  return f;
}

class Node {
  readonly helpers = new PlainHelpers(new VirtualClock(3600e9));
  readonly maps = new CiliumMaps({ clock: this.helpers.clock });
  readonly #datapath = createDatapath({
    config: compileConfig({
      ENABLE_WIREGUARD: true,
      ENABLE_NODEPORT: true,
      ENABLE_HOST_ROUTING: true,
      ENABLE_ROUTING: true,
      DEBUG: true,
    }),
    maps: this.maps,
    helpers: this.helpers,
  });
  readonly #common = { host_ep_id: 901, wg_ifindex: WG0, wg_port: 51871 };
  readonly eth0 = this.#datapath.loadHost({ ...this.#common, interface_ifindex: ETH0, security_label: 1 });
  readonly wg0 = this.#datapath.loadWireguard({
    ...this.#common,
    interface_ifindex: WG0,
    eth_header_length: 0,
  });
  readonly #text = new EventText(
    profileOf("1.19"),
    { endpoints: { 901: "H1", 103: "C" }, identities: { 3001: "idA", 3003: "idC" } },
    (i) => (i === ETH0 ? "eth0" : i === WG0 ? "cilium_wg0" : `if${i}`),
  );
  mark = 0;

  constructor() {
    this.maps.cilium_events.enabled = true;
    const identity = (ip: string, id: number, key: number, bits = 32): void => {
      const value = new IpcacheValue();
      value.sec_identity = id;
      value.key = key;
      this.maps.cilium_ipcache_v2.update(new IpcacheKey().setIpv4(parseIpv4(ip), bits).words, value.words, 0);
    };
    identity("0.0.0.0", 2, 0, 0);
    identity(POD_A, 3001, 0);
    identity(POD_C, 3003, 255);
    identity(NODE_1, 1, 0);
    identity(NODE_2, 6, 0);
  }

  run(program: Program, frame: Uint8Array, ifindex: number, mark = 0): string[] {
    const skb = new Skb();
    skb.reset();
    skb.setFrame(frame);
    skb.ifindex = ifindex;
    skb.ingressIfindex = ifindex;
    skb.protocol = 0x0800;
    skb.mark = mark;
    this.helpers.redirectIfindex = 0;
    const ret = program.run(skb);
    this.mark = skb.mark >>> 0;
    const out: string[] = [];
    this.maps.cilium_events.read((b) => out.push(this.#text.line(b)));
    out.push(`return ${ret}${ret === 7 ? ` to ${this.helpers.redirectIfindex}` : ""}`);
    return out;
  }
}

/** Low 16 bits of the identity in the mark's upper half. */
const mark = (magic: number, identity: number): number => ((identity << 16) | magic) >>> 0;

describe("WireGuard, native routing", () => {
  it("takes a pod's packet to a pod with a key from to-netdev to cilium_wg0, with the identity in the mark", () => {
    const node = new Node();
    expect(
      node.run(node.eth0.to_netdev, udp(POD_A, POD_C, 20000, 9000), ETH0, mark(MARK_IDENTITY, 3001)),
    ).toEqual([`return 7 to ${WG0}`]);
    expect(node.mark).toBe(mark(MARK_IDENTITY, 3001));
    expect(
      node.run(node.wg0.to_wireguard, udp(POD_A, POD_C, 20000, 9000).subarray(14), WG0, node.mark),
    ).toEqual(["0 T:to-crypto(idA,0,0,cilium_wg0,unknown) ttl 64", "return 0"]);
  });

  it("sends the encrypted packet on as the host's, marked in the reason", () => {
    const node = new Node();
    expect(node.run(node.eth0.to_netdev, udp(NODE_1, NODE_2, 51871, 51871), ETH0, MARK_ENCRYPT)).toEqual([
      "H1 T:to-network(1,0,0,eth0,unknown,encrypted) ttl 64",
      "return 0",
    ]);
  });

  it("leaves the host's own packets alone", () => {
    const node = new Node();
    expect(node.run(node.eth0.to_netdev, udp(NODE_1, POD_C, 20000, 9000), ETH0, 0x0c00).at(-1)).toBe(
      "return 0",
    );
  });

  it("marks what comes encrypted from another node, and hands it to the stack", () => {
    const node = new Node();
    expect(node.run(node.eth0.from_netdev, udp(NODE_2, NODE_1, 51871, 51871), ETH0)).toEqual([
      `H1 D58 Successfully mapped addr=${NODE_2} to identity=6`,
      "H1 T:from-network(6,0,0,eth0,new,encrypted) ttl 64",
      "return 0",
    ]);
    expect(node.mark & 0xf00).toBe(0xd00);
  });

  it("does not take for WireGuard what comes from outside the cluster", () => {
    const node = new Node();
    expect(node.run(node.eth0.from_netdev, udp("192.168.0.99", NODE_1, 51871, 51871), ETH0)[1]).toBe(
      "H1 T:from-network(2,0,0,eth0,unknown) ttl 64",
    );
  });

  it("gives what was decrypted its identity again, and hands it to the stack where no endpoint is meant", () => {
    const node = new Node();
    expect(node.run(node.wg0.from_wireguard, udp(POD_C, POD_A, 9000, 20000).subarray(14), WG0)).toEqual([
      `0 D58 Successfully mapped addr=${POD_C} to identity=3003`,
      "0 T:from-crypto(idC,0,0,cilium_wg0,unknown) ttl 64",
      "return 0",
    ]);
    expect(node.mark & 0xf00).toBe(0xd00);
  });
});
