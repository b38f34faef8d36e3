import { describe, expect, it } from "vitest";
import { Program } from "../../src/bpf/program.js";
import { TC_ACT_OK, TC_ACT_SHOT } from "../../src/bpf/verdict.js";
import { ctListText } from "../../src/cluster/cilium/dump/ct_list.js";
import type { CiliumNode } from "../../src/cluster/cilium/plane.js";
import type { Lab } from "../../src/lab.js";
import { readPcapng } from "../../src/net/pcapng.js";
import { twoNodeLab } from "../support/two_nodes.js";

function conntrack(lab: Lab, node = "n1"): string {
  return ctListText((lab.node(node) as CiliumNode).maps);
}

describe("Lab.fork and Lab.rewind", () => {
  it("fork gives the same state, and what is done to it leaves the original alone", () => {
    const lab = twoNodeLab();
    lab.tcp({ from: "pod/a", to: "pod/b", port: 8080, send: 10 });
    lab.advance("3s");
    const before = conntrack(lab);
    const what = lab.fork();
    expect(conntrack(what)).toBe(before);
    expect(what.clock.ns).toBe(lab.clock.ns);
    what.ping({ from: "pod/a", to: "pod/c" });
    expect(conntrack(lab)).toBe(before);
    expect(conntrack(what)).not.toBe(before);
  });

  it("the original and its fork go on alike", () => {
    const lab = twoNodeLab({ datapath: "cilium-legacy" });
    lab.ping({ from: "pod/a", to: "pod/c" });
    const fork = lab.fork();
    const o = { from: "pod/a", to: "pod/c", port: 9000 } as const;
    expect(fork.udp(o)).toEqual(lab.udp(o));
    expect(conntrack(fork)).toBe(conntrack(lab));
  });

  it("rewind restores maps and clock of every earlier position, and the way forward is the same again", () => {
    const lab = twoNodeLab();
    const states: string[] = [];
    const clocks: number[] = [];
    const steps = [
      () => lab.ping({ from: "pod/a", to: "pod/b" }),
      () => lab.advance("30s"),
      () => lab.tcp({ from: "pod/b", to: "pod/c", port: 8080, receive: 100 }),
    ];
    const note = (): void => {
      states.push(conntrack(lab));
      clocks.push(lab.clock.ns);
    };
    note();
    for (const s of steps) {
      s();
      note();
    }
    expect(lab.position).toBe(3);
    for (const at of [2, 1, 0]) {
      lab.rewind(at);
      expect([conntrack(lab), lab.clock.ns]).toEqual([states[at], clocks[at]]);
    }
    for (const [i, s] of steps.entries()) {
      s();
      expect(conntrack(lab)).toBe(states[i + 1]);
    }
  });

  it("rewind refuses a position that never was", () => {
    expect(() => twoNodeLab().rewind(1)).toThrow("there is no position 1; the lab is at 0");
  });

  it("a monitor that is attached sees what comes after a rewind, and not again what came before", () => {
    const lab = twoNodeLab();
    let samples = 0;
    lab.monitor("n1", () => {
      samples++;
    });
    lab.ping({ from: "pod/a", to: "pod/b" });
    const first = samples;
    lab.rewind(0);
    expect(samples).toBe(first);
    lab.ping({ from: "pod/a", to: "pod/b" });
    expect(samples).toBe(2 * first);
  });
});

describe("Lab.attach", () => {
  it("runs a program of one's own on a device and lets it use the node's maps", () => {
    const lab = twoNodeLab();
    let seen = 0;
    const before = lab.attach("n2", "lxc_c", "tc_ingress", (node) => {
      const { maps } = node as CiliumNode;
      return new Program({ name: "drop_when_busy", type: "sched_cls", section: "tc", file: "test" }, () => {
        seen++;
        return maps.cilium_ct_any4_global.size > 0 ? TC_ACT_SHOT : TC_ACT_OK;
      });
    });
    expect(before?.spec.name).toBe("cil_from_container");
    expect(lab.ping({ from: "pod/a", to: "pod/c" }).received).toBe(0);
    expect(seen).toBeGreaterThan(0);
  });

  it("refuses a device that the node does not have", () => {
    expect(() => twoNodeLab().attach("n1", "nope", "xdp", null)).toThrow("node n1 has no device nope");
  });
});

describe("Lab.capture", () => {
  it("keeps what the devices saw as pcapng, one interface a device", () => {
    const lab = twoNodeLab();
    lab.ping({ from: "pod/a", to: "pod/c" });
    const capture = lab.capture("n1:lxc_a", "n1:eth0", "pod/c:eth0");
    lab.ping({ from: "pod/a", to: "pod/c" });
    capture.stop();
    lab.ping({ from: "pod/a", to: "pod/c" });
    const [section] = readPcapng(capture.toPcapng()).sections;
    expect(section!.interfaces.map((i) => i.name)).toEqual(["n1:lxc_a", "n1:eth0", "pod/c:eth0"]);
    // Host routing: the reply reaches pod a without passing lxc_a.
    expect(section!.packets.map((p) => `${p.interfaceIndex} ttl ${p.bytes[22]}`)).toEqual([
      "0 ttl 64",
      "1 ttl 63",
      "2 ttl 62",
      "2 ttl 64",
      "1 ttl 63",
    ]);
  });

  it("refuses a device that does not exist", () => {
    expect(() => twoNodeLab().capture("n1:nope")).toThrow(
      "there is no device n1:nope; write it like node-1:eth0 or pod/a:eth0",
    );
  });
});
