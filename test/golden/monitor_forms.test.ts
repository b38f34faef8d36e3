// Every kind of event in every form, as text files to be reviewed like code. Where the recorded vectors are at hand
// the conformance test says more; these files hold without them.

import { describe, expect, it } from "vitest";
import { encodeAgentNotification } from "../../monitor/agent.js";
import { MonitorFormatter } from "../../monitor/format.js";
import {
  capture,
  debug,
  drop,
  FRAMES,
  packet,
  padded,
  policyVerdict,
  recorder,
  trace,
  traceSock,
} from "../support/monitor_samples.js";

const FORMS: readonly (readonly [string, object])[] = [
  ["default", {}],
  ["-n", { numeric: true }],
  ["-v", { verbosity: 1 }],
  ["-v -v", { verbosity: 2 }],
  ["-v -v --hex", { verbosity: 2, hex: true }],
  ["-j", { json: true }],
];

function samples(release: "1.19" | "1.11"): [string, Uint8Array][] {
  const out: [string, Uint8Array][] = [];
  for (const [name, frame] of Object.entries(FRAMES)) {
    const flags = name === "vxlan" ? 4 : name === "geneve" ? 8 : 0;
    out.push([`trace of ${name}`, trace({ release, flags, ifindex: 26, dstId: 1580, dst: 2 }, frame)]);
  }
  out.push(
    ["trace, padded by the ring", padded(trace({ release }, FRAMES.icmpEcho))],
    ["trace to a proxy", trace({ release, point: 1, dstId: 15001 }, FRAMES.tcpSyn)],
    [
      "trace, encrypted, from a host",
      trace({ release, point: 7, reason: 0x81, src: 1, dst: 6 }, FRAMES.tcpSyn),
    ],
    ["trace of an unknown point and reason", trace({ release, point: 77, reason: 0x99 }, FRAMES.arp)],
    ["trace with a trace id", trace({ release, traceId: 12345678901234567890n }, FRAMES.udpDns)],
    ["trace of an L3 device", trace({ release, flags: 2 }, FRAMES.tcpSyn.subarray(14))],
    ["trace, cut in its TCP header", trace({ release }, FRAMES.tcpSyn.subarray(0, 40))],
    ["drop", drop({ release }, FRAMES.tcpSyn)],
    [
      "drop with an extra error and a trace id",
      drop({ release, reason: 169, extError: -2, traceId: 7n }, FRAMES.arp),
    ],
    [
      "drop of unknown reason and file",
      drop({ release, reason: 250, file: 99, dstId: 70000 }, FRAMES.udpDns),
    ],
    ["capture", capture(4, 26, FRAMES.icmpEcho)],
    ["capture without a prefix", capture(10, 26, FRAMES.icmpEcho)],
    ["capture for a proxy", capture(9, 0x993a, FRAMES.tcpSyn)],
    ["policy verdict", policyVerdict({ release, flags: 0x11 }, FRAMES.tcpSyn)],
    [
      "policy verdict, denied, audited",
      policyVerdict({ release, flags: 0x62, verdict: -133, auth: 9 }, FRAMES.udpDns),
    ],
    ["debug", debug(48, 0x5500000a, 0x7c01000a, 0x00000c00)],
    ["debug, tuple flags", debug(49, 0x0103, 1, 2)],
    ["debug, unknown", debug(200, 1, 2, 3)],
    ["socket trace", traceSock(1, 1, 80, packet("0a600001"))],
    ["recorder capture", recorder(1, FRAMES.arp)],
    ["agent notification", encodeAgentNotification({ type: 9, text: '{"cidr":"10.0.0.1/32","id":4}' })],
    ["short trace", trace({ release }, FRAMES.arp).subarray(0, 20)],
    ["short debug message", debug(48).subarray(0, 19)],
    ["unknown type", packet("08010203ff")],
  );
  return out;
}

describe("forms", () => {
  it.each(["1.19", "1.11"] as const)("of release %s are what the golden file holds", async (release) => {
    let text = "";
    for (const [form, options] of FORMS) {
      const f = new MonitorFormatter({
        profile: release,
        ifnames: (i) => (i === 26 ? "lxc5f949d4fd7fa" : undefined),
        ...options,
      });
      text += `######## ${form}\n`;
      for (const [name, sample] of samples(release)) {
        const printed = f.format(3, sample);
        text += `#### ${name}\n${printed}${printed.endsWith("\n") || printed === "" ? "" : "<no newline>\n"}`;
      }
    }
    text += `######## lost\n${new MonitorFormatter({ profile: release }).lost(127, 7)}`;
    await expect(text).toMatchFileSnapshot(`monitor/forms-${release}.txt`);
  });
});
