// trace, drop, debug and verdict samples byte for byte, aggregation, capture lengths, the rate limit, metrics.

import { describe, expect, it } from "vitest";
import { POLICY_MATCH_ALL } from "../../../../programs/lib/common.js";
import { IS_BPF_HOST } from "../../../../programs/lib/ctx.js";
import { cilium_dbg, cilium_dbg_capture, cilium_dbg3 } from "../../../../programs/lib/dbg.js";
import {
  send_drop_notify_error_with_exitcode_ext,
  send_drop_notify_ext,
} from "../../../../programs/lib/drop.js";
import { update_metrics } from "../../../../programs/lib/metrics.js";
import { PolicyResult } from "../../../../programs/lib/policy.js";
import {
  POLICY_EGRESS,
  POLICY_INGRESS,
  send_policy_verdict_notify,
} from "../../../../programs/lib/policy_log.js";
import {
  compute_capture_len,
  send_trace_notify,
  send_trace_notify4,
} from "../../../../programs/lib/trace.js";
import { ip as be32, PlainNode } from "../../../../src/bench/programs_node.js";
import { countingBytes, ip4, ip6, udp } from "../../../../src/net/build.js";
import { toHex } from "../../../../src/net/view.js";
import { enterProgram, metricRows, samples } from "../../../support/program_ctx.js";
import { A, A6, B, B6, frame } from "../../../support/program_frames.js";

const FRAME = frame(ip4({ src: A, dst: B }), udp({ src: 1000, dst: 53 }), countingBytes(20));
const CAPTURE = toHex(FRAME);
/** A place: line 258 of file 3. */
const SITE = (258 << 8) | 3;

const TO_ENDPOINT = 0;
const FROM_ENDPOINT = 5;
const TO_STACK = 3;
const FROM_OVERLAY = 9;
const FROM_HOST = 7;
const TO_NETWORK = 11;

/** The samples, cut to the length that they announce, as hex of header and captured bytes. */
function hex(list: Uint8Array[], header: number): string[] {
  return list.map((s) => {
    const captured = new DataView(s.buffer, s.byteOffset).getUint16(12, true);
    return `${toHex(s.subarray(0, header))} ${toHex(s.subarray(header, header + captured))}`;
  });
}

describe("a trace sample", () => {
  it("has 56 bytes in this release: identities, endpoint, reason, flags, interface, original address", () => {
    const { ctx, node } = enterProgram({ frame: FRAME, def: { MONITOR_AGGREGATION: 0 } });
    send_trace_notify4(ctx, TO_ENDPOINT, 20001, 20002, be32("10.10.0.11"), 1002, 102, 1, 128, SITE);
    expect(hex(samples(node), 56)).toEqual([
      `0400e903000000003e0000003e000200214e0000224e0000ea030100660000000a0a000b${"00".repeat(20)} ${CAPTURE}`,
    ]);
  });

  it("has 48 bytes in profile 1.11, without family, and unknown is new there", () => {
    const { ctx, node } = enterProgram({
      frame: FRAME,
      def: { MONITOR_AGGREGATION: 0, profile: "1.11" },
    });
    send_trace_notify(ctx, FROM_ENDPOINT, 20001, 0, 0, 101, 5, 128, 0x800, SITE);
    expect(hex(samples(node), 48)).toEqual([
      `0405e903000000003e0000003e000100214e0000000000000000000065000000${"00".repeat(16)} ${CAPTURE}`,
    ]);
  });

  it("says IPv6, and that the device has no Ethernet header", () => {
    const f = frame(ip6({ src: A6, dst: B6 }), udp({ src: 1000, dst: 53 }));
    const { ctx, node } = enterProgram({
      frame: f,
      def: { MONITOR_AGGREGATION: 0 },
      config: { eth_header_length: 0 },
    });
    send_trace_notify(ctx, FROM_ENDPOINT, 1, 2, 0, 101, 5, 128, 0x86dd, SITE);
    expect(samples(node)[0][27]).toBe(3);
  });

  it("carries the tunnel's flag and more of the packet where a tunnel packet leaves the node", () => {
    const { ctx, node } = enterProgram({
      frame: frame(ip4({ src: A, dst: B }), udp({ src: 1000, dst: 8472 }), countingBytes(400)),
      def: { MONITOR_AGGREGATION: 0, TUNNEL_MODE: true, ENCAP_IFINDEX: 30 },
      kind: IS_BPF_HOST,
    });
    ctx.skb.mark = 0x0400;
    send_trace_notify(ctx, TO_NETWORK, 1, 2, 0, 10, 5, 128, 0x800, SITE);
    const [s] = samples(node);
    const v = new DataView(s.buffer, s.byteOffset);
    expect([s[27], v.getUint16(12, true)]).toEqual([4, 192]);
  });
});

describe("aggregation", () => {
  const sent = (level: number, monitor: number): number[] =>
    [TO_ENDPOINT, FROM_ENDPOINT, TO_STACK, FROM_HOST, FROM_OVERLAY].filter((point) => {
      const { ctx, node } = enterProgram({ frame: FRAME, def: { MONITOR_AGGREGATION: level } });
      send_trace_notify(ctx, point, 1, 2, 0, 101, 1, monitor, 0x800, SITE);
      return samples(node).length === 1;
    });

  it("none sends everything", () => {
    expect(sent(0, 0)).toEqual([TO_ENDPOINT, FROM_ENDPOINT, TO_STACK, FROM_HOST, FROM_OVERLAY]);
  });

  it("lowest leaves out where packets come in", () => {
    expect(sent(1, 0)).toEqual([TO_ENDPOINT, TO_STACK]);
  });

  it("medium leaves out besides what conntrack does not report", () => {
    expect(sent(3, 0)).toEqual([]);
    expect(sent(3, 128)).toEqual([TO_ENDPOINT, TO_STACK]);
  });

  it("does not touch metrics: forwarded packets are counted where they leave the program", () => {
    const { ctx, node } = enterProgram({ frame: FRAME, def: { MONITOR_AGGREGATION: 3 } });
    for (const point of [TO_ENDPOINT, FROM_ENDPOINT, TO_STACK, TO_NETWORK]) {
      send_trace_notify(ctx, point, 1, 2, 0, 101, 1, 0, 0x800, SITE);
    }
    expect(metricRows(node)).toEqual(["0 1 258 3: 1 62", "0 2 258 3: 2 124"]);
  });
});

describe("captures", () => {
  it.each([
    [0, 0, 62],
    [128, 0, 62],
    [40, 0, 40],
    [1500, 0, 62],
  ])("of monitor value %i with flags %i are %i bytes of 62", (monitor, flags, len) => {
    const { ctx } = enterProgram({ frame: FRAME });
    expect(compute_capture_len(ctx, monitor, flags)).toBe(len);
  });

  it("are at most 128 bytes of a long packet", () => {
    const { ctx } = enterProgram({ frame: frame(ip4({ src: A, dst: B }), countingBytes(900)) });
    expect(compute_capture_len(ctx, 0, 0)).toBe(128);
  });
});

describe("a drop", () => {
  it("has 48 bytes with line, file, extended error, interface and flags, is counted, and leaves its words in cb", () => {
    const { ctx, node } = enterProgram({ frame: FRAME });
    expect(send_drop_notify_ext(ctx, 20001, 20002, 1002, -155, -7, 1, SITE)).toBe(2);
    expect(hex(samples(node), 48)).toEqual([
      `019be903000000003e0000003e000300214e0000224e0000ea030000020103f9650000000000000000000000${"00".repeat(4)} ${CAPTURE}`,
    ]);
    expect(metricRows(node)).toEqual(["155 1 258 3: 1 62"]);
    expect([...ctx.skb.cb].map((w) => (w >>> 0).toString(16))).toEqual([
      "4e21",
      "4e22",
      "f99b",
      "3ea",
      "1020302",
    ]);
  });

  it("has 32 bytes in profile 1.11", () => {
    const { ctx, node } = enterProgram({ frame: FRAME, def: { profile: "1.11" } });
    send_drop_notify_ext(ctx, 20001, 20002, 1002, -133, 0, 1, SITE);
    expect(hex(samples(node), 32)).toEqual([
      `0185e903000000003e0000003e000100214e0000224e0000ea03000000000000 ${CAPTURE}`,
    ]);
  });

  it("may be told without dropping, and what is no error is handed back", () => {
    const { ctx, node } = enterProgram({ frame: FRAME });
    expect(send_drop_notify_error_with_exitcode_ext(ctx, 0, -139, 0, 0, 1, SITE)).toBe(0);
    expect(samples(node).length).toBe(1);
    expect(send_drop_notify_ext(ctx, 0, 0, 0, 7, 0, 1, SITE)).toBe(7);
    expect(samples(node)).toEqual([]);
    expect(metricRows(node)).toEqual(["139 1 258 3: 1 62"]);
  });

  it("is counted even if nobody is told", () => {
    const { ctx, node } = enterProgram({ frame: FRAME, def: { DROP_NOTIFY: false } });
    expect(send_drop_notify_ext(ctx, 0, 0, 0, -133, 0, 2, SITE)).toBe(2);
    expect(samples(node)).toEqual([]);
    expect(metricRows(node)).toEqual(["133 2 258 3: 1 62"]);
  });
});

describe("the rate limit", () => {
  it("lets a burst through and then so many events a second", () => {
    const { ctx, node } = enterProgram({
      frame: FRAME,
      def: { MONITOR_AGGREGATION: 0, EVENTS_MAP_RATE_LIMIT: 2, EVENTS_MAP_BURST_LIMIT: 3 },
    });
    const burst = (n: number): number => {
      for (let i = 0; i < n; i++) send_trace_notify(ctx, TO_STACK, 1, 2, 0, 101, 1, 128, 0x800, SITE);
      return samples(node).length;
    };
    expect(burst(5)).toBe(3);
    node.clock.advance(1e9 + 1);
    expect(burst(5)).toBe(2);
    node.clock.advance(10e9);
    expect(burst(5)).toBe(3);
  });
});

describe("debug messages", () => {
  it("have 20 bytes: kind, endpoint, hash, three arguments", () => {
    const { ctx, node } = enterProgram({ frame: FRAME, def: { DEBUG: true } });
    ctx.skb.hash = 0x01020304;
    cilium_dbg(ctx, 15, 1, -2);
    cilium_dbg3(ctx, 48, 1, 2, 3);
    expect(samples(node).map((s) => toHex(s.subarray(0, 20)))).toEqual([
      "020fe9030403020101000000feffffff00000000",
      "0230e90304030201010000000200000003000000",
    ]);
  });

  it("of a capture have 24 bytes and the packet", () => {
    const { ctx, node } = enterProgram({ frame: FRAME, def: { DEBUG: true } });
    cilium_dbg_capture(ctx, 4, 101);
    expect(hex(samples(node), 24)).toEqual([`0304e903000000003e0000003e0001006500000000000000 ${CAPTURE}`]);
  });

  it("are not there in a build without debug", () => {
    const { ctx, node } = enterProgram({ frame: FRAME });
    cilium_dbg(ctx, 15, 1, 2);
    cilium_dbg_capture(ctx, 4, 101);
    expect(samples(node)).toEqual([]);
  });
});

describe("policy verdicts", () => {
  const send = (filter: number, verdict: number): string[] => {
    const { ctx, node } = enterProgram({ frame: FRAME, config: { policy_verdict_log_filter: filter } });
    const res = new PolicyResult();
    res.match_type = 3;
    res.cookie = 7;
    send_policy_verdict_notify(ctx, 20002, 0x3500, 17, POLICY_INGRESS, 0, verdict, res, 1);
    return samples(node).map((s) => toHex(s.subarray(0, 40)));
  };

  it("say identity, verdict, port, protocol, direction and match", () => {
    expect(send(1, -133)).toEqual([
      "0500e903000000003e0000003e000100224e00007bffffff35001119010000000700000000000000",
    ]);
  });

  it("are sent only for the directions that the endpoint asks for", () => {
    expect(send(2, 0)).toEqual([]);
    expect(send(0, 0)).toEqual([]);
    expect(send(3, 0).length).toBe(1);
  });

  /** Words 3 to 9 of the one sample, its length, and whether there is one. */
  const sent = (
    o: Parameters<typeof enterProgram>[0],
    res: Partial<PolicyResult> = {},
    verdict = 0,
    dir = POLICY_INGRESS,
    v6 = 0,
  ) => {
    const { ctx, node } = enterProgram(o);
    send_policy_verdict_notify(
      ctx,
      20002,
      0x3500,
      17,
      dir,
      v6,
      verdict,
      Object.assign(new PolicyResult(), res),
      3,
    );
    const all = samples(node);
    expect(all.length).toBeLessThan(2);
    return all.map((s) => ({ length: s.length, words: [...new Int32Array(s.slice(0, 40).buffer)] }))[0];
  };
  const config = { policy_verdict_log_filter: 3 };

  it("carry the proxy port of what is allowed, and the reason of what is not", () => {
    const res = { proxy_port: 0xe803, cookie: 9 };
    expect(sent({ frame: FRAME, config }, res)!.words.slice(5)).toEqual([0xe803, 0x01110035, 3, 9, 0]);
    expect(sent({ frame: FRAME, config }, res, -133)!.words[5]).toBe(-133);
  });

  it("carry direction, family, match type, audit and a frame without Ethernet header as flags", () => {
    const flags = (
      o: Parameters<typeof sent>[0],
      ...rest: [Partial<PolicyResult>?, number?, number?, number?]
    ) => sent(o, ...rest)!.words[6]! >>> 24;
    expect(flags({ frame: FRAME, config }, {}, 0, POLICY_EGRESS)).toBe(2);
    expect(flags({ frame: FRAME, config }, {}, 0, POLICY_INGRESS, 1)).toBe(1 | 4);
    expect(flags({ frame: FRAME, config }, { match_type: 6 })).toBe(1 | (6 << 3));
    expect(flags({ frame: FRAME, config }, { audited: 1 })).toBe(1 | 0x40);
    expect(flags({ frame: FRAME, config: { ...config, eth_header_length: 0 } })).toBe(1 | 0x80);
    const old = { profile: "1.11" } as const;
    expect(flags({ frame: FRAME, def: old, config: { ...config, eth_header_length: 0 } })).toBe(1);
  });

  it("hold as much of the packet as is asked for", () => {
    const cut = sent({ frame: FRAME, config: { ...config, trace_payload_len: 20 } })!;
    expect([cut.words[2], cut.words[3]! & 0xffff]).toEqual([FRAME.length, 20]);
    const whole = sent({ frame: FRAME, config: { ...config, trace_payload_len: FRAME.length } })!;
    expect([whole.words[2], whole.words[3]! & 0xffff]).toEqual([FRAME.length, FRAME.length]);
  });

  it("had 32 bytes in release 1.11, and no authentication", () => {
    const def = { profile: "1.11" } as const;
    const short = { ...config, trace_payload_len: 8 };
    const old = sent({ frame: FRAME, def, config: short }, { cookie: 9 })!;
    const now = sent({ frame: FRAME, config: short }, { cookie: 9 })!;
    expect([now.length - old.length, now.words[7], old.words[7]]).toEqual([8, 3, 0]);
  });

  it("of the host firewall are left out where no rule allowed the packet", () => {
    const host = { frame: FRAME, kind: IS_BPF_HOST, config: {} } as const;
    expect(sent(host, { match_type: POLICY_MATCH_ALL })).toBeUndefined();
    expect(sent(host, { match_type: POLICY_MATCH_ALL }, -133)).toBeDefined();
    expect(sent(host, { match_type: 1 })).toBeDefined();
  });

  it("need somebody who reads, and programs that are built with them", () => {
    const node = new PlainNode({ ctSize: 64 });
    expect(sent({ frame: FRAME, config, node })).toBeUndefined();
    expect(sent({ frame: FRAME, config, def: { POLICY_VERDICT_NOTIFY: false } })).toBeUndefined();
  });

  it("are held back by the rate limit of events", () => {
    const def = { EVENTS_MAP_RATE_LIMIT: 1, EVENTS_MAP_BURST_LIMIT: 1 };
    const { ctx, node } = enterProgram({ frame: FRAME, config, def });
    for (let i = 0; i < 3; i++)
      send_policy_verdict_notify(ctx, 20002, 0x3500, 17, POLICY_INGRESS, 0, 0, new PolicyResult(), 0);
    expect(samples(node).length).toBe(1);
  });
});

describe("metrics", () => {
  it("add packets and bytes under reason, direction, line and file", () => {
    const { ctx, node } = enterProgram({ frame: FRAME });
    update_metrics(ctx, 100, 1, 0, SITE);
    update_metrics(ctx, 50, 1, 0, SITE);
    update_metrics(ctx, 50, 2, 0, SITE);
    expect(metricRows(node)).toEqual(["0 1 258 3: 2 150", "0 2 258 3: 1 50"]);
  });
});
