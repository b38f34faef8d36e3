// Small labs recorded by kernel-lab on Linux 6.18 (IPVS and tunnels other than VXLAN: 6.1), one for each thing that
// random labs (test/compat/kernel_lab) found wrong in the model: every device's frames, the senders' results,
// netfilter's trace and counters are compared.

import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { runKernelVectors } from "../../src/conformance/kernel.js";

const dir = fileURLToPath(new URL("kernel", import.meta.url));

const LABS: Readonly<Record<string, string>> = {
  "asked-again-for-another":
    "who asks a second time for an address names the sender of the packet that came last",
  "bridged-dnat":
    "a bridge sends what br_netfilter translated through its neighbour code, whole, and cuts it again at the port",
  "bridged-reject": "REJECT answers a packet that a bridge hands to another of its ports",
  "errors-wait-in-the-queue":
    "each ping reads one ICMP error of those that wait, and a pending error refuses the next datagram",
  "loop-longer-than-a-poll":
    "a packet that loops through 64 devices lets its sender go on before the error comes back",
  "geneve-ttl-inherit": "the outer TTL of Geneve with ttl inherit is what the inner one has become",
  "ipip-of-ip-link-sets-df":
    "a tunnel that ip link made sets DF on whatever it carries, and tells a masqueraded pod what fits",
  "ipvs-long-packets-of-the-node":
    "IPVS measures a datagram of its own node against the backend's way, but no GSO packet",
  "ipvs-persistence":
    "templates last for hours, and a server of weight 0 keeps its clients until they connect again",
  "ipvs-udp-without-checksum":
    "IPVS computes the checksum of a datagram that has none; what nobody reads is not counted as received",
  "mss-option-added": "rules and policies behind TCPMSS count the option that it added to a SYN",
  "own-segment-dropped":
    "what OUTPUT drops of a TCP connection was not sent: probes of one segment follow, and the next push grows it again",
  "own-segment-too-long":
    "a TCP segment that DNAT leads to a route with a smaller MTU is refused by its own host, segment by segment",
  "pieces-keep-their-sizes":
    "a long datagram keeps the pieces of its socket's route when DNAT leads it to a larger MTU",
  "redirect-about-a-raw-packet":
    "a redirect about a packet that no open socket or tunnel sent changes nothing and counts as an error",
  "path-mtu-of-an-own-address":
    "a connected socket keeps its route to an own address; what was learnt of the path is for the next socket",
  "redirect-to-unknown-gateway":
    "a redirect to a gateway that nobody is makes the host ask for it and nothing else",
  "refused-reset-is-a-discard": "a reset that OUTPUT refuses counts as a discarded packet",
  "reset-echoes-options": "a reset carries the record route option of the segment that it answers",
  "retransmission-by-another-port":
    "what is sent again after a timeout leaves a VXLAN device by another port, which is a new connection to netfilter",
  "tcp-loss-in-a-tunnel":
    "a full segment that a tunnel loses is sent again when RACK's reordering timer ends, not by a tail loss probe",
  "tcp-loss-no-sack":
    "without SACK three duplicates or a timeout send again what a router drops of every four",
  "tcp-loss-of-retransmissions":
    "a retransmission that is answered at once does not prove an earlier one lost",
  "tcp-loss-sack":
    "with SACK the holes that a router makes are found by RACK, and blocks are told latest first",
  "tcp-loss-syn-ack":
    "a lost SYN-ACK costs a second, and the window and the packets of the connection begin small",
  "tcp-loss-window-grows": "each segment that lets the receive window grow is acknowledged at once",
  "tunnel-forgets-the-socket":
    "the inner socket's path MTU mode does not let a tunnel's packet exceed its own path",
  "vxlan-over-smaller-mtu":
    "a VXLAN device carries no more than the device below, and fragments do not keep their sizes through it",
};

describe("recorded kernel labs", () => {
  it("are all listed here", () => {
    expect(readdirSync(dir).sort()).toEqual(Object.keys(LABS).sort());
  });

  for (const [name, what] of Object.entries(LABS))
    it(`${name}: ${what}`, () => {
      let text = "";
      const { failed } = runKernelVectors([`${dir}/${name}`], (t) => {
        text += t;
      });
      expect(failed === 0 ? "" : text).toBe("");
    });
});
