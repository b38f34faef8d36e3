// A node that runs out of ports for masquerading: the program's signal wakes the agent's garbage collection, long before
// its next run, and what has expired makes room.
import { describe, expect, it } from "vitest";
import { dropReasonText } from "../../monitor/debug_message.js";
import { profileOf } from "../../monitor/release.js";
import type { CiliumNode } from "../../src/cluster/cilium/plane.js";
import type { Lab } from "../../src/lab.js";
import { udpEnd } from "../../src/scenario/clients.js";
import { dualLab } from "../support/dual_lab.js";

/** Ports left to NAT behind the node ports: 65501 to 65535. */
const OPTIONS = { "node-port-range": "30000,65500" };
const PORTS = 35;

/** One datagram to the outside from a port of its own; true if it got out. */
function send(lab: Lab, port: number, ipv6: boolean): boolean {
  const end = udpEnd(lab.endpoint("pod/a").ns!, ipv6);
  end.bind(port);
  end.connect(lab.endpoint("host/outside"), 9000);
  let left = false;
  const walks = lab.record(() => {
    end.send(new Uint8Array(8));
    lab.advance("1ms");
  });
  for (const w of walks) if (w.steps.some((s) => s.where === "outside")) left = true;
  end.close();
  return left;
}

const natSize = (lab: Lab, ipv6: boolean): number => {
  const { maps } = lab.node("n1") as CiliumNode;
  return (ipv6 ? maps.cilium_snat_v6_external : maps.cilium_snat_v4_external).size;
};

describe.each([
  ["IPv4", false],
  ["IPv6", true],
] as const)("NAT that fills up over %s", (_name, ipv6) => {
  it("is emptied of expired connections when a connection finds no port, and the next one gets one", () => {
    const lab = dualLab({ datapath: "cilium-host-routing", options: OPTIONS });
    // The regular collections come further and further apart while there is little to do.
    lab.advance("10m");
    const drops: string[] = [];
    lab.monitor("n1", (s) => {
      if (s.bytes[0] === 1) drops.push(dropReasonText(profileOf("1.19"), s.bytes[1]!, 0));
    });
    let port = 20_000;
    let sent = 0;
    // The last ports are hard to hit by chance: 32 draws, and then the connection is dropped.
    for (let tries = 0; sent < PORTS && tries < 200; tries++) if (send(lab, port++, ipv6)) sent++;
    expect(sent).toBe(PORTS);
    expect(natSize(lab, ipv6)).toBe(2 * PORTS);
    drops.length = 0;

    // Every connection is alive: the collection that the signal caused took nothing away.
    expect([send(lab, port++, ipv6), send(lab, port++, ipv6)]).toEqual([false, false]);
    expect(natSize(lab, ipv6)).toBe(2 * PORTS);

    // After a minute all have expired, but nobody has looked yet.
    lab.advance("61s");
    expect(natSize(lab, ipv6)).toBe(2 * PORTS);
    expect(send(lab, port++, ipv6)).toBe(false);
    expect(natSize(lab, ipv6)).toBe(0);
    expect(send(lab, port++, ipv6)).toBe(true);
    expect(natSize(lab, ipv6)).toBe(2);
    expect(drops).toEqual(Array<string>(3).fill("No mapping for NAT masquerade"));
  });
});
