import { describe, expect, it } from "vitest";
import { encodeAgentNotification } from "../../../monitor/agent.js";
import { EventFilter, parseEndpointId, parseEventType } from "../../../monitor/filter.js";
import { MonitorFormatter } from "../../../monitor/format.js";
import { profileOf } from "../../../monitor/release.js";
import {
  capture,
  debug,
  drop,
  FRAMES,
  packet,
  policyVerdict,
  trace,
  traceSock,
} from "../../support/monitor_samples.js";

const P = profileOf("1.19");

/** Which of the samples print at -v with a filter. */
function shown(set: (f: EventFilter) => void, samples: Record<string, Uint8Array>): string[] {
  const filter = new EventFilter();
  set(filter);
  const f = new MonitorFormatter({ profile: P, verbosity: 1, filter });
  return Object.entries(samples)
    .filter(([, s]) => f.format(0, s) !== "")
    .map(([name]) => name);
}

const SAMPLES = {
  drop: drop({ source: 100, dstId: 65536 + 200 }, FRAMES.tcpSyn),
  debug: debug(48, 0, 0, 0, 100),
  capture: capture(4, 26, FRAMES.tcpSyn),
  trace: trace({ source: 100, dstId: 200 }, FRAMES.tcpSyn),
  toProxy: trace({ source: 100, point: 1, dstId: 15001 }, FRAMES.tcpSyn),
  verdict: policyVerdict({ remote: 65536 + 200 }, FRAMES.tcpSyn),
  agent: encodeAgentNotification({ type: 1, text: "{}" }),
  sock: traceSock(1, 1, 80, packet("0a600001")),
  unknown: packet("0801"),
  malformed: debug(48).subarray(0, 8),
};

describe("EventFilter", () => {
  it("lets everything pass when nothing is given", () => {
    expect(shown(() => {}, SAMPLES)).toEqual(Object.keys(SAMPLES));
    expect(new EventFilter().empty).toBe(true);
  });

  it("selects types; socket traces, unknown and malformed events pass every filter", () => {
    const always = ["sock", "unknown", "malformed"];
    expect(shown((f) => f.types.add(1), SAMPLES)).toEqual(["drop", ...always]);
    expect(shown((f) => f.types.add(2).add(3), SAMPLES)).toEqual(["debug", "capture", ...always]);
    expect(shown((f) => f.types.add(130), SAMPLES)).toEqual(["agent", ...always]);
  });

  it("compares --from with the source endpoint, which agent notifications do not have", () => {
    expect(shown((f) => f.from.add(100), SAMPLES)).toEqual([
      "drop",
      "debug",
      "trace",
      "toProxy",
      "sock",
      "unknown",
      "malformed",
    ]);
    expect(shown((f) => f.from.add(0), SAMPLES)).toContain("agent");
  });

  it("compares --to with 16 bits of the destination, the proxy port or the remote identity", () => {
    expect(shown((f) => f.to.add(200), SAMPLES)).toEqual([
      "drop",
      "trace",
      "verdict",
      "sock",
      "unknown",
      "malformed",
    ]);
    expect(shown((f) => f.to.add(15001), SAMPLES)).toEqual(["toProxy", "sock", "unknown", "malformed"]);
  });

  it("takes --related-to as either side, and wants every given filter to pass", () => {
    expect(shown((f) => f.related.add(1580).add(200), SAMPLES)).toEqual([
      "drop",
      "capture",
      "trace",
      "verdict",
      "sock",
      "unknown",
      "malformed",
    ]);
    const both = (f: EventFilter): void => {
      f.from.add(100);
      f.to.add(200);
      f.types.add(4);
    };
    expect(shown(both, SAMPLES)).toEqual(["trace", "sock", "unknown", "malformed"]);
  });
});

describe("flag values", () => {
  it("of --type are the names of the release", () => {
    expect([...P.eventTypes.keys()].map((n) => parseEventType(P, n))).toEqual([130, 3, 2, 1, 129, 5, 4, 7]);
    expect(parseEventType(profileOf("1.11"), "recorder")).toBe(6);
  });

  it("of --type that do not exist are refused with the client's message, comma lists included", () => {
    expect(() => parseEventType(P, "drop,trace")).toThrow(
      'invalid argument "drop,trace" for "-t, --type" flag: Unknown type (drop,trace). Please use one of the following ones map[agent:130 capture:3 debug:2 drop:1 l7:129 policy-verdict:5 trace:4 trace-sock:7]',
    );
  });

  it("of --from are numbers of 16 bits", () => {
    expect(parseEndpointId("from", "65535")).toBe(65535);
    expect(() => parseEndpointId("from", "99999")).toThrow(
      'invalid argument "99999" for "--from" flag: strconv.ParseUint: parsing "99999": value out of range',
    );
    expect(() => parseEndpointId("related-to", "-1")).toThrow(
      'invalid argument "-1" for "--related-to" flag: strconv.ParseUint: parsing "-1": invalid syntax',
    );
  });
});
