import { describe, expect, it } from "vitest";
import { MonitorFormatter } from "../../../monitor/format.js";
import { PROFILE_NAMES, profileOf } from "../../../monitor/release.js";
import {
  connectionClosedText,
  dissectionCacheText,
  interruptText,
  startUpText,
  unknownPayloadText,
} from "../../../monitor/session.js";
import { checkEndpoints, type MonitorFlags } from "../../../src/cli/monitor_options.js";
import { debug, FRAMES, trace } from "../../support/monitor_samples.js";

const NEW = profileOf("1.19");
const OLD = profileOf("1.11");
const TIME = "2026-01-02T03:04:05.123456789Z";

describe("session texts", () => {
  it("of the banner go to stderr in 1.19 and to stdout in 1.11", () => {
    const lines = [
      "Listening for events on 4 CPUs with 64x4096 of shared memory\n",
      "Press Ctrl-C to quit\n",
    ];
    const ring = { cpus: 4, npages: 64, pagesize: 4096 };
    expect(startUpText(NEW, ring)).toEqual(lines.map((text) => ({ stream: "stderr", text })));
    expect(startUpText(OLD, ring)).toEqual(lines.map((text) => ({ stream: "stdout", text })));
    expect(startUpText(NEW)).toEqual([{ stream: "stderr", text: lines[1] }]);
    expect(interruptText(OLD)).toEqual({
      stream: "stdout",
      text: "\nReceived an interrupt, disconnecting from monitor...\n\n",
    });
  });

  it("of the log go the other way round, in the form of the release", () => {
    expect(dissectionCacheText(NEW, TIME)).toEqual({
      stream: "stdout",
      text: `time=${TIME} level=info msg="Initializing dissection cache..."\n`,
    });
    expect(dissectionCacheText(OLD, TIME)).toEqual({
      stream: "stderr",
      text: 'level=info msg="Initializing dissection cache..." subsys=monitor\n',
    });
    expect(connectionClosedText(NEW, TIME).text).toBe(
      `time=${TIME} level=warn msg="connection closed" subsys=cilium-dbg error=EOF\n`,
    );
    expect(connectionClosedText(OLD, "2026-01-02T03:04:05Z").text).toBe(
      'time="2026-01-02T03:04:05Z" level=warning msg="connection closed" error=EOF\n',
    );
    expect(unknownPayloadText(NEW, TIME, 10).text).toBe(
      `time=${TIME} level=warn msg="Unknown payload type" subsys=cilium-dbg error=<nil> type=10\n`,
    );
  });

  it("on the dissection cache belong before the first event whose packet is decoded", () => {
    const f = new MonitorFormatter({ profile: "1.19", verbosity: 2 });
    f.format(0, debug(48));
    expect(f.dissected).toBe(false);
    f.format(0, trace({}, FRAMES.arp));
    expect(f.dissected).toBe(true);
    const hex = new MonitorFormatter({ profile: "1.19", verbosity: 2, hex: true });
    hex.format(0, trace({}, FRAMES.arp));
    expect(hex.dissected).toBe(false);
  });
});

describe("checkEndpoints", () => {
  const flags = (from: string[], to: string[], relatedTo: string[]): MonitorFlags => ({
    type: [],
    verbose: 0,
    from,
    to,
    relatedTo,
  });

  it("looks at ids only when all three flags are given, as the real command does", () => {
    const known = new Set([1580]);
    expect(checkEndpoints(flags(["1"], ["2"], []), known)).toEqual({ messages: [], noneKnown: false });
    expect(checkEndpoints(flags(["1"], ["1580"], ["3"]), known)).toEqual({
      messages: ["endpoint 1 not found\n", "endpoint 3 not found\n"],
      noneKnown: false,
    });
    expect(checkEndpoints(flags(["1"], ["2"], ["3"]), known).noneKnown).toBe(true);
  });
});

describe("profiles", () => {
  it("are found by name, and an unknown one names those that exist", () => {
    expect(PROFILE_NAMES).toEqual(["1.19", "1.11"]);
    expect(() => profileOf("1.12")).toThrow('unknown monitor profile "1.12": use one of 1.19, 1.11');
  });

  it("name ports by protocol and release", () => {
    expect([80, 8472, 34567, 15001].map((p) => NEW.tcpPorts.text(p))).toEqual([
      "80(http)",
      "8472(otv)",
      "34567(dhanalakshmi)",
      "15001",
    ]);
    expect(NEW.udpPorts.text(34567)).toBe("34567(edi_service)");
    expect([NEW.tcpPorts.text(3283), NEW.sctpPorts.text(80)]).toEqual([
      "3283(Apple Remote Desktop (Net Assistant))",
      "80(http)",
    ]);
    expect([NEW.tcpPorts.text(27017), OLD.tcpPorts.text(27017), OLD.tcpPorts.text(2200)]).toEqual([
      "27017(mongodb)",
      "27017",
      "2200(ici)",
    ]);
  });
});
