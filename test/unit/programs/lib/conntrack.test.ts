// Conntrack function by function, IPv4 and IPv6 alike: which key is asked, what a hit and a miss leave behind.

import { describe, expect, it } from "vitest";
import type { BpfMap } from "../../../../maps/bpf_map.js";
import { createMap } from "../../../../maps/create.js";
import { CT_ENTRY_SIZE, CT_ENTRY_WORDS, CtEntry, type CtTuple4, type CtTuple6 } from "../../../../maps/ct.js";
import type { CompileConfig, ObjectConfig } from "../../../../programs/config.js";
import * as ct from "../../../../programs/lib/conntrack.js";
import { get_ct_map4, get_ct_map6 } from "../../../../programs/lib/conntrack_map.js";
import { CtState, type Ctx, IS_BPF_HOST, IS_BPF_LXC, type ObjectKind } from "../../../../programs/lib/ctx.js";
import { PlainNode } from "../../../../src/bench/programs_node.js";
import { Step, StepRecorder } from "../../../../src/bpf/steps.js";
import { countingBytes, frag6, ip4, ip6, type Layer, sctp, tcp, udp } from "../../../../src/net/build.js";
import { type Tuple, V4, V6 } from "../../../support/conntrack_family.js";
import { T0 } from "../../../support/ct_text.js";
import { enterProgram, metricRows, samples } from "../../../support/program_ctx.js";
import { A, A6, B, B6, frame } from "../../../support/program_frames.js";

const [EGRESS, INGRESS, SERVICE] = [0, 1, 2] as const;
const [FORWARD, REVERSE, BIDIR] = [0, 1, 2] as const;
const [NEW, ESTABLISHED, REPLY, RELATED, REOPENED] = [0, 1, 2, 3, 4] as const;
const [OUT, IN, REL, SVC] = [0, 1, 2, 4] as const;
const [SYN, ACK, FIN, RST] = [2, 0x10, 1, 4] as const;
const [RX_CLOSING, TX_CLOSING, NON_SYN] = [1, 2, 0x10] as const;
/** Source and destination port of the packets, as a tuple's Be16. */
const [SPORT, DPORT] = [0x1234, 0x5000];
const be16 = (n: number): number => ((n & 0xff) << 8) | (n >>> 8);

/** Timeouts that no two have in common. */
const TIMES = {
  CT_CONNECTION_LIFETIME_TCP: 8000,
  CT_CONNECTION_LIFETIME_NONTCP: 61,
  CT_SERVICE_LIFETIME_TCP: 7000,
  CT_SERVICE_LIFETIME_NONTCP: 62,
  CT_SYN_TIMEOUT: 63,
  CT_CLOSE_TIMEOUT: 11,
  CT_SERVICE_CLOSE_REBALANCE: 30,
  CT_REPORT_INTERVAL: 5,
} as const;

describe.each([V4, V6])("$name", (fam) => {
  interface Setup {
    readonly def?: Partial<CompileConfig>;
    readonly config?: Partial<ObjectConfig>;
    readonly kind?: ObjectKind;
    readonly node?: PlainNode;
  }
  const node = (def: Partial<CompileConfig> = {}): PlainNode =>
    new PlainNode({ config: { ...TIMES, ...def }, reader: true, ipv6: true, ctSize: 64 });
  /** A program with a packet of these layers behind the IP header. */
  const packet = (
    layers: readonly (Layer | Uint8Array | string)[],
    o: Setup = {},
  ): { ctx: Ctx; node: PlainNode } =>
    enterProgram({
      frame: frame(fam.ip(), ...layers),
      node: o.node ?? node(o.def),
      ...(o.kind === undefined ? {} : { kind: o.kind }),
      config: { trace_payload_len: 77, ...o.config },
    });
  const segment = (flags: number, o: Setup = {}) => packet([tcp({ src: 0x3412, dst: 80, flags })], o);
  const datagram = (o: Setup = {}) => packet([udp({ src: 0x3412, dst: 80 })], o);
  /** A look-up with the tuple of the packet. */
  const look = (
    ctx: Ctx,
    n: PlainNode,
    dir: number,
    scope: number,
    state: CtState | null = null,
    proto = 6,
  ): { ret: number; tuple: Tuple } => {
    const tuple = fam.tuple(proto);
    return { ret: fam.lookup(ctx, fam.map(n, proto), tuple, dir, scope, state), tuple };
  };
  /** The tuple as stored for a packet, with flags. */
  const stored = (proto: number, flags: number): Tuple => {
    const t = fam.tuple(proto);
    t.dport = DPORT;
    t.sport = SPORT;
    t.swapAddrs();
    t.flags = flags;
    return t;
  };
  /** The tuple as loaded: what a reply's entry is found under. */
  const loaded = (proto: number, flags: number): Tuple => {
    const t = fam.tuple(proto);
    t.dport = SPORT;
    t.sport = DPORT;
    t.flags = flags;
    return t;
  };
  const put = (map: BpfMap, t: Tuple, fill: (e: CtEntry) => void = () => {}): void => {
    const e = new CtEntry().reset();
    fill(e);
    map.update(t.words, e.words, 0);
  };
  const entryOf = (map: BpfMap, t: Tuple): CtEntry => new CtEntry().point(map, map.peek(t.words));
  const facts = (e: CtEntry) => ({
    expires: e.lifetime - T0,
    flags: e.flags,
    tx: e.tx_flags_seen,
    rx: e.rx_flags_seen,
    txReport: e.last_tx_report === 0 ? -1 : e.last_tx_report - T0,
    rxReport: e.last_rx_report === 0 ? -1 : e.last_rx_report - T0,
  });
  const words = (t: Tuple): number[] => [...t.words];

  describe("tuples", () => {
    it("are turned by addresses, ports and direction", () => {
      const make = () => stored(6, IN);
      const [reverse, withDirection, ports, addrs] = fam.turns.map((turn) => {
        const t = make();
        turn(t);
        return t;
      });
      expect([reverse!.dport, reverse!.sport, reverse!.flags]).toEqual([SPORT, DPORT, IN]);
      expect([withDirection!.dport, withDirection!.flags]).toEqual([SPORT, OUT]);
      expect([ports!.dport, ports!.sport]).toEqual([SPORT, DPORT]);
      const swapped = make();
      swapped.swapAddrs();
      expect(words(addrs!)).toEqual(words(swapped));
      swapped.swapPorts();
      expect(words(reverse!)).toEqual(words(swapped));
      swapped.swapAddrs();
      expect(words(ports!)).toEqual(words(swapped));
      fam.turns[1]!(withDirection!);
      expect(words(withDirection!)).toEqual(words(make()));
    });

    it("of TCP live in one map, all others in another", () => {
      const { ctx, node: n } = datagram();
      const get = (t: Tuple) =>
        fam === V4 ? get_ct_map4(ctx, t as CtTuple4) : get_ct_map6(ctx, t as CtTuple6);
      const names =
        fam === V4
          ? ["cilium_ct4_global", "cilium_ct_any4_global"]
          : ["cilium_ct6_global", "cilium_ct_any6_global"];
      expect([6, 17, fam.icmpProto, 132].map((p) => get(fam.tuple(p)).spec.name)).toEqual([
        names[0],
        names[1],
        names[1],
        names[1],
      ]);
      expect(get(fam.tuple(6))).toBe(fam.map(n, 6));
    });
  });

  describe("ports", () => {
    const extract = (proto: number, layers: (Layer | Uint8Array)[], o: Setup = {}, fraginfo = 0) => {
      const { ctx, node: n } = packet(layers, o);
      const t = fam.tuple(proto);
      t.ports = 0x77777777;
      const ret = fam.extract(ctx, t, fraginfo);
      return { ret, dport: t.dport, sport: t.sport, flags: t.flags, node: n };
    };

    it("are those of the header, the source port as dport", () => {
      for (const [proto, layer] of [
        [6, tcp({ src: 0x3412, dst: 80 })],
        [17, udp({ src: 0x3412, dst: 80 })],
      ] as const)
        expect(extract(proto, [layer])).toMatchObject({ ret: 0, dport: SPORT, sport: DPORT, flags: 0 });
    });

    it("of SCTP count only where the programs are built with it", () => {
      const layers = [sctp({ src: 0x3412, dst: 80 })];
      expect(extract(132, layers, { def: { ENABLE_SCTP: true } })).toMatchObject({
        ret: 0,
        dport: SPORT,
        sport: DPORT,
      });
      expect(extract(132, layers).ret).toBe(-137);
    });

    it("are none with protocols that nobody knows, where those are let in at all", () => {
      const config = { enable_extended_ip_protocols: true };
      expect(extract(2, [countingBytes(8)]).ret).toBe(-137);
      expect(extract(2, [countingBytes(8)], { config })).toMatchObject({ ret: 0, dport: 0, sport: 0 });
      expect(extract(132, [countingBytes(12)], { config })).toMatchObject({ ret: 0, dport: 0, sport: 0 });
    });

    it("of echo messages are the identifier, on the side that asked", () => {
      const [request, reply] = fam.echo;
      expect(extract(fam.icmpProto, [fam.icmp(request)])).toMatchObject({
        ret: 0,
        dport: 0x1234,
        sport: 0,
        flags: 0,
      });
      expect(extract(fam.icmpProto, [fam.icmp(reply)])).toMatchObject({
        ret: 0,
        dport: 0,
        sport: 0x1234,
        flags: 0,
      });
    });

    it("of ICMP errors are none, and the tuple is RELATED", () => {
      for (const type of fam.errors)
        expect(extract(fam.icmpProto, [fam.icmp(type)])).toMatchObject({
          ret: 0,
          dport: 0,
          sport: 0,
          flags: REL,
        });
      expect(extract(fam.icmpProto, [fam.icmp(fam.other)])).toMatchObject({
        ret: 0,
        dport: 0,
        sport: 0,
        flags: 0,
      });
    });

    it("count messages that say a packet was too big, by direction", () => {
      const reason15 = (n: PlainNode) => metricRows(n).filter((r) => r.startsWith("15 "));
      const [type, code] = fam.tooBig;
      const line = fam === V4 ? 884 : 620;
      const length = fam.l4 + 8;
      expect(reason15(extract(fam.icmpProto, [fam.icmp(type, code)]).node)).toEqual([
        `15 1 ${line} 108: 1 ${length}`,
      ]);
      if (fam === V4) expect(reason15(extract(1, [fam.icmp(3, 1)]).node)).toEqual([]);
      expect(reason15(extract(fam.icmpProto, [fam.icmp(fam.errors.at(-1)!)]).node)).toEqual([]);
    });

    it("are refused where the header is cut off", () => {
      const cut = (proto: number, bytes: number[]) => extract(proto, [Uint8Array.from(bytes)]).ret;
      expect([cut(6, [1, 2, 3]), cut(17, [])]).toEqual([-135, -135]);
      // Type alone is enough for what has no identifier, but for the code of an IPv4 "unreachable".
      expect(cut(fam.icmpProto, [])).toBe(-135);
      expect(cut(fam.icmpProto, [fam.other])).toBe(0);
      expect(
        fam.echo.flatMap((t) => [
          cut(fam.icmpProto, [t, 0, 0, 0, 1]),
          cut(fam.icmpProto, [t, 0, 0, 0, 1, 2]),
        ]),
      ).toEqual([-135, 0, -135, 0]);
      expect([cut(fam.icmpProto, [3]), cut(fam.icmpProto, [3, 1])]).toEqual([fam === V4 ? -135 : 0, 0]);
    });

    it("of fragmented ICMP are refused", () => {
      expect(extract(fam.icmpProto, [fam.icmp(fam.echo[0])], {}, 1).ret).toBe(-134);
    });

    it("that cannot be had end the look-up", () => {
      const { ctx, node: n } = packet([countingBytes(2)]);
      expect(look(ctx, n, EGRESS, BIDIR, null, 17).ret).toBe(-135);
      const short = packet([countingBytes(13)]);
      expect(look(short.ctx, short.node, EGRESS, BIDIR).ret).toBe(-135);
    });
  });

  describe("look-ups", () => {
    // Which stored entry answers, by direction and scope: [as loaded, in reverse]; undefined is not asked for.
    const CASES = [
      [EGRESS, FORWARD, undefined, OUT],
      [EGRESS, REVERSE, IN, undefined],
      [EGRESS, BIDIR, IN, OUT],
      [INGRESS, FORWARD, undefined, IN],
      [INGRESS, REVERSE, OUT, undefined],
      [INGRESS, BIDIR, OUT, IN],
      [SERVICE, REVERSE, SVC, undefined],
      [SERVICE, FORWARD, undefined, SVC],
    ] as const;

    it.each(CASES)(
      "in direction %i and scope %i find the entries of flags %s as loaded and %s reversed",
      (dir, scope, asLoaded, reversed) => {
        const found = (t: Tuple): number => {
          const { ctx, node: n } = datagram();
          put(fam.map(n, 17), t);
          return look(ctx, n, dir, scope, null, 17).ret;
        };
        const all = [OUT, IN, SVC];
        expect(all.map((f) => found(loaded(17, f)))).toEqual(all.map((f) => (f === asLoaded ? REPLY : NEW)));
        expect(all.map((f) => found(stored(17, f)))).toEqual(
          all.map((f) => (f === reversed ? ESTABLISHED : NEW)),
        );
      },
    );

    it("leave the tuple as stored on a miss and on Established, as loaded on a reply", () => {
      const { ctx, node: n } = datagram();
      expect(words(look(ctx, n, EGRESS, BIDIR, null, 17).tuple)).toEqual(words(stored(17, OUT)));
      put(fam.map(n, 17), stored(17, OUT));
      expect(words(look(ctx, n, EGRESS, BIDIR, null, 17).tuple)).toEqual(words(stored(17, OUT)));
      put(fam.map(n, 17), loaded(17, IN));
      expect(words(look(ctx, n, EGRESS, BIDIR, null, 17).tuple)).toEqual(words(loaded(17, IN)));
      expect(words(look(ctx, n, INGRESS, FORWARD, null, 17).tuple)).toEqual(words(stored(17, IN)));
      expect(words(look(ctx, n, INGRESS, REVERSE, null, 17).tuple)).toEqual(words(loaded(17, OUT)));
    });

    it("take ICMP errors of a connection as Related", () => {
      const { ctx, node: n } = packet([fam.icmp(fam.errors[0]!)]);
      const t = fam.tuple(fam.icmpProto);
      t.flags = IN | REL;
      put(fam.map(n, 1), t);
      expect(look(ctx, n, EGRESS, BIDIR, null, fam.icmpProto).ret).toBe(RELATED);
    });

    it("record each access to the map and the verdict, and nothing when nobody records", () => {
      const { ctx, node: n } = datagram();
      const recorder = new StepRecorder(n.clock, 16);
      n.datapath.recorder = recorder;
      put(fam.map(n, 17), stored(17, OUT));
      look(ctx, n, EGRESS, BIDIR, null, 17);
      n.datapath.recorder = null;
      look(ctx, n, EGRESS, BIDIR, null, 17);
      const steps = recorder.records();
      expect(steps.map((s) => s.kind)).toEqual([Step.MAP_LOOKUP, Step.MAP_LOOKUP, Step.CT]);
      expect(steps.map((s) => s.a)).toEqual([-1, fam.map(n, 17).peek(stored(17, OUT).words), ESTABLISHED]);
      expect(steps[2]).toMatchObject({ b: EGRESS, c: 0 });
      recorder.clear();
      n.datapath.recorder = recorder;
      look(ctx, n, EGRESS, REVERSE, null, 17);
      expect(recorder.records().map((s) => s.kind)).toEqual([Step.MAP_LOOKUP, Step.CT]);
    });

    it("count fragments, by direction", () => {
      const n = node({ ENABLE_IPV4_FRAGMENTS: true });
      const line = fam === V4 ? 939 : 679;
      const f =
        fam === V4
          ? frame(ip4({ src: A, dst: B, mf: true, id: 5 }), udp({ src: 1, dst: 2 }))
          : frame(ip6({ src: A6, dst: B6 }), frag6({ offset: 0, mf: true, id: 5 }), udp({ src: 1, dst: 2 }));
      const { ctx } = enterProgram({ frame: f, node: n });
      // IPv6 callers say what they found of extension headers; L4 then begins later.
      const map = fam.map(n, 17);
      if (fam === V4) look(ctx, n, INGRESS, BIDIR, null, 17);
      else ct.ct_lookup6(ctx, map, fam.tuple(17) as CtTuple6, 14, 1, 62, INGRESS, BIDIR, null);
      expect(metricRows(n).filter((r) => r.startsWith("9 "))).toEqual([`9 1 ${line} 108: 1 ${f.length}`]);
      const whole = datagram();
      look(whole.ctx, whole.node, INGRESS, BIDIR, null, 17);
      expect(metricRows(whole.node)).toEqual([]);
    });

    it("say in debug builds what they asked, met and found", () => {
      const n = node({ DEBUG: true });
      const { ctx } = datagram({ node: n });
      put(fam.map(n, 17), stored(17, OUT), (e) => {
        e.rev_nat_index = 0x0700;
        e.lifetime = 5;
      });
      const state = new CtState();
      look(ctx, n, EGRESS, BIDIR, state, 17);
      const messages = samples(n).map((s) => {
        const v = new DataView(s.buffer, s.byteOffset);
        return [s[0], s[1], v.getInt32(8, true), v.getInt32(12, true), v.getInt32(16, true)];
      });
      const [first, second] = fam.debug;
      const [a, b] = fam.addresses;
      expect(messages).toEqual([
        [2, first, a, b, (80 << 16) | 0x3412],
        [2, second, (17 << 8) | IN, EGRESS, BIDIR],
        [2, 8, 5, 0x0700, 0],
        [2, 15, ESTABLISHED, 0x0700, 0],
      ]);
    });

    it("of release 1.11 say neither direction nor scope", () => {
      const n = node({ DEBUG: true, profile: "1.11" });
      const { ctx } = datagram({ node: n });
      look(ctx, n, INGRESS, BIDIR, null, 17);
      const second = samples(n).find((s) => s[1] === fam.debug[1])!;
      expect([...new Int32Array(second.slice(8, 20).buffer)]).toEqual([(17 << 8) | OUT, 0, 0]);
    });
  });

  describe("lifetimes", () => {
    const refreshed = (
      dir: number,
      l4: "tcp" | "udp",
      flags: number,
      fill: (e: CtEntry) => void = () => {},
    ) => {
      const { ctx, node: n } = l4 === "tcp" ? segment(flags) : datagram();
      const proto = l4 === "tcp" ? 6 : 17;
      const t = stored(proto, dir === EGRESS ? OUT : dir === INGRESS ? IN : SVC);
      put(fam.map(n, proto), t, fill);
      look(ctx, n, dir, dir === SERVICE ? FORWARD : BIDIR, null, proto);
      return facts(entryOf(fam.map(n, proto), t));
    };

    it.each([
      ["a connection's datagram", EGRESS, "udp", 0, 61, 0],
      ["a service's datagram", SERVICE, "udp", 0, 62, 0],
      ["a SYN", EGRESS, "tcp", SYN, 63, 0],
      ["a service's SYN", SERVICE, "tcp", SYN, 63, 0],
      ["a connection's segment", INGRESS, "tcp", ACK, 8000, NON_SYN],
      ["a service's segment", SERVICE, "tcp", ACK, 7000, NON_SYN],
    ] as const)("after %s", (_what, dir, l4, flags, expires, bits) => {
      expect(refreshed(dir, l4, flags)).toMatchObject({ expires, flags: bits });
    });

    it("stay long once a segment other than a SYN was seen", () => {
      expect(
        refreshed(EGRESS, "tcp", SYN, (e) => {
          e.flags = NON_SYN;
        }),
      ).toMatchObject({ expires: 8000, flags: NON_SYN });
    });

    it("are left alone where both sides have closed, and so is the monitor value", () => {
      const { ctx, node: n } = segment(ACK);
      const t = stored(6, OUT);
      put(fam.map(n, 6), t, (e) => {
        e.flags = RX_CLOSING | TX_CLOSING;
        e.lifetime = T0 + 3;
      });
      expect(look(ctx, n, EGRESS, FORWARD).ret).toBe(ESTABLISHED);
      expect(facts(entryOf(fam.map(n, 6), t))).toMatchObject({ expires: 3, flags: 3, txReport: -1 });
      expect(ctx.monitor).toBe(0);
    });

    it("go on where one side has closed", () => {
      expect(
        refreshed(EGRESS, "tcp", ACK, (e) => {
          e.flags = RX_CLOSING;
        }),
      ).toMatchObject({ expires: 8000, flags: RX_CLOSING | NON_SYN });
    });
  });

  describe("reports", () => {
    it("are due at the first packet, at new flags and after the interval, by side", () => {
      const n = node();
      const t = stored(6, OUT);
      put(fam.map(n, 6), t);
      const send = (flags: number, dir: number = EGRESS) => {
        const { ctx } = segment(flags, { node: n });
        look(ctx, n, dir, dir === EGRESS ? BIDIR : FORWARD);
        return [ctx.monitor, facts(entryOf(fam.map(n, 6), t)).tx];
      };
      expect(send(ACK)).toEqual([77, ACK]);
      expect(send(ACK)).toEqual([0, ACK]);
      expect(send(ACK | 8)).toEqual([77, ACK | 8]);
      expect(send(8)).toEqual([0, ACK | 8]);
      n.clock.advance(5e9);
      expect(send(ACK)).toEqual([0, ACK | 8]);
      n.clock.advance(1e9);
      expect(send(ACK)).toEqual([77, ACK | 8]);
      expect(facts(entryOf(fam.map(n, 6), t))).toMatchObject({ txReport: 6, rxReport: -1, rx: 0 });
    });

    it("of entering packets are kept apart from those of leaving ones", () => {
      const { ctx, node: n } = segment(ACK);
      const t = stored(6, IN);
      put(fam.map(n, 6), t, (e) => {
        e.tx_flags_seen = 2;
        e.nat_port = 0x1111;
      });
      look(ctx, n, INGRESS, BIDIR);
      const e = entryOf(fam.map(n, 6), t);
      expect(facts(e)).toMatchObject({ rx: ACK, tx: 2, rxReport: 0, txReport: -1 });
      expect(e.nat_port).toBe(0x1111);
    });

    it("look only at the flags that are asked for", () => {
      const n = node({ CT_REPORT_FLAGS: FIN | SYN });
      const t = stored(6, OUT);
      put(fam.map(n, 6), t, (e) => {
        e.last_tx_report = T0;
      });
      const { ctx } = segment(ACK, { node: n });
      look(ctx, n, EGRESS, BIDIR);
      expect([ctx.monitor, facts(entryOf(fam.map(n, 6), t)).tx]).toEqual([0, 0]);
    });

    it("are due for every miss", () => {
      const { ctx, node: n } = datagram();
      look(ctx, n, EGRESS, FORWARD, null, 17);
      expect(ctx.monitor).toBe(77);
    });
  });

  describe("closing", () => {
    const closed = (dir: number, flags: number, before = 0, def: Partial<CompileConfig> = {}) => {
      const { ctx, node: n } = segment(flags, { def });
      const t = stored(6, dir === EGRESS ? OUT : dir === INGRESS ? IN : SVC);
      put(fam.map(n, 6), t, (e) => {
        e.flags = before;
      });
      const state = new CtState();
      const { ret } = look(ctx, n, dir, dir === SERVICE ? FORWARD : BIDIR, state);
      return { ret, ...facts(entryOf(fam.map(n, 6), t)), closing: state.closing, monitor: ctx.monitor };
    };

    it("by FIN marks the side it comes from and keeps the lifetime until the other has closed", () => {
      expect(closed(EGRESS, FIN | ACK)).toMatchObject({
        ret: ESTABLISHED,
        flags: TX_CLOSING | NON_SYN,
        expires: 8000,
        closing: true,
        monitor: 77,
      });
      expect(closed(INGRESS, FIN | ACK)).toMatchObject({ flags: RX_CLOSING | NON_SYN, expires: 8000 });
      expect(closed(INGRESS, FIN | ACK, TX_CLOSING)).toMatchObject({ flags: 3 | NON_SYN, expires: 11 });
      expect(closed(EGRESS, FIN | ACK, RX_CLOSING)).toMatchObject({ flags: 3 | NON_SYN, expires: 11 });
    });

    it("by RST, or of a service, marks both at once", () => {
      for (const dir of [EGRESS, INGRESS])
        expect(closed(dir, RST)).toMatchObject({
          flags: 3 | NON_SYN,
          expires: 11,
          closing: true,
          monitor: 77,
        });
      expect(closed(SERVICE, FIN | ACK)).toMatchObject({ flags: 3 | NON_SYN, expires: 11 });
    });

    it("needs no state to be kept", () => {
      for (const flags of [RST, SYN, ACK]) {
        const { ctx, node: n } = segment(flags);
        put(fam.map(n, 6), stored(6, OUT));
        expect(look(ctx, n, EGRESS, BIDIR).ret).toBe(ESTABLISHED);
      }
    });

    it("does not happen by other segments", () => {
      expect(closed(EGRESS, ACK)).toMatchObject({ flags: NON_SYN, closing: false });
      expect(closed(EGRESS, SYN | ACK)).toMatchObject({ flags: 0, closing: false, expires: 63 });
    });

    it("is undone by a SYN, which makes the connection new", () => {
      for (const before of [RX_CLOSING, TX_CLOSING, 3]) {
        expect(closed(EGRESS, SYN, before | NON_SYN)).toMatchObject({
          ret: NEW,
          flags: 0,
          expires: 63,
          tx: SYN,
          rx: 0,
          closing: false,
          monitor: 77,
        });
      }
      expect(closed(EGRESS, SYN, NON_SYN)).toMatchObject({ ret: ESTABLISHED, flags: NON_SYN });
    });

    it("is undone in release 1.11 by a SYN with or without ACK, which reopens the connection", () => {
      const def = { profile: "1.11" } as const;
      for (const flags of [SYN, SYN | ACK])
        expect(closed(EGRESS, flags, 3 | NON_SYN, def)).toMatchObject({
          ret: REOPENED,
          flags: NON_SYN,
          expires: 8000,
          closing: false,
        });
      const { ctx, node: n } = segment(SYN, { def, kind: IS_BPF_HOST });
      put(fam.map(n, 6), stored(6, OUT), (e) => {
        e.flags = RX_CLOSING | 0x40 | 0x08;
        e.rev_nat_index = 0x0700;
      });
      const state = new CtState();
      expect(look(ctx, n, EGRESS, BIDIR, state).ret).toBe(REOPENED);
      expect(state).toMatchObject({ rev_nat_index: 0x0700, flags: 0x40 });
      put(fam.map(n, 6), stored(6, OUT), (e) => {
        e.flags = RX_CLOSING;
      });
      expect(look(ctx, n, EGRESS, BIDIR).ret).toBe(REOPENED);
      expect(closed(EGRESS, SYN | ACK, 3 | NON_SYN).ret).toBe(ESTABLISHED);
      expect(closed(EGRESS, ACK, 3 | NON_SYN, def).ret).toBe(ESTABLISHED);
    });

    it("of a service entry lets a SYN choose another backend after the grace time", () => {
      const expired = (seconds: number, flags: number = SYN, bits = 3) => {
        const { ctx, node: n } = segment(flags);
        const t = stored(6, SVC);
        put(fam.map(n, 6), t, (e) => {
          e.flags = bits;
          e.last_tx_report = T0 - seconds;
          e.lifetime = T0 + 1;
        });
        const { ret } = look(ctx, n, SERVICE, FORWARD);
        return [ret, entryOf(fam.map(n, 6), t).flags, ctx.monitor];
      };
      // Left as it is: the caller writes it anew.
      expect(expired(30)).toEqual([NEW, 3, 77]);
      expect(expired(31, SYN, TX_CLOSING)).toEqual([NEW, TX_CLOSING, 77]);
      expect(expired(29)).toEqual([NEW, 0, 77]);
      expect(expired(30, SYN, 0)[0]).toBe(ESTABLISHED);
      expect(expired(30, ACK)[0]).toBe(ESTABLISHED);
    });
  });

  describe("kinds of entries", () => {
    // CT_ENTRY_NODEPORT 1, CT_ENTRY_DSR 2, CT_ENTRY_SVC 4.
    it.each([
      [0, 0, 0, 0, true],
      [1, 0x20, 0, 7, true],
      [1, 0x20, 7, 7, true],
      [1, 0x20, 8, 7, false],
      [1, 0, 0, 7, false],
      [2, 0x80, 0, 7, true],
      [2, 0x20, 0, 7, false],
      [4, 0, 7, 7, true],
      [4, 0, 8, 7, false],
      [3, 0x80, 9, 7, true],
      [1, 0x80, 0, 7, false],
      [6, 0, 7, 7, true],
    ])(
      "types %i match an entry of flags %i when index %i is asked and %i stored: %s",
      (types, flags, asked, has, hit) => {
        const { ctx, node: n } = datagram();
        const t = stored(17, OUT);
        put(fam.map(n, 17), t, (e) => {
          e.flags = flags;
          e.rev_nat_index = has;
        });
        const state = new CtState();
        state.rev_nat_index = asked;
        const key = stored(17, OUT);
        expect(fam.lazy(ctx, fam.map(n, 17), key, EGRESS, FORWARD, types, state)).toBe(
          hit ? ESTABLISHED : NEW,
        );
        // A miss counts as one: it is reported, and the entry not refreshed.
        expect([ctx.monitor, entryOf(fam.map(n, 17), t).lifetime - T0]).toEqual(hit ? [77, 61] : [77, -T0]);
      },
    );

    it("are asked for without an index where there is no state", () => {
      const { ctx, node: n } = datagram();
      put(fam.map(n, 17), stored(17, OUT), (e) => {
        e.flags = 0x20;
        e.rev_nat_index = 7;
      });
      expect(fam.lazy(ctx, fam.map(n, 17), stored(17, OUT), EGRESS, FORWARD, 1, null)).toBe(ESTABLISHED);
      expect(fam.lazy(ctx, fam.map(n, 17), stored(17, OUT), EGRESS, FORWARD, 4, null)).toBe(NEW);
    });
  });

  describe("state", () => {
    const ALL = 0x20 | 0x80 | 0x40 | 0x100 | 0x400 | 0x08;
    const read = (kind: ObjectKind, dir: number, fill: (e: CtEntry) => void, state = new CtState()) => {
      const { ctx, node: n } = segment(SYN, { kind });
      put(fam.map(n, 6), stored(6, dir === EGRESS ? OUT : SVC), fill);
      look(ctx, n, dir, FORWARD, state);
      return state;
    };

    it("takes over the bits of an entry, the loopback bit only in a pod's program", () => {
      const all = (e: CtEntry): void => {
        e.flags = ALL | NON_SYN;
        e.rev_nat_index = 0x0700;
      };
      expect(read(IS_BPF_LXC, EGRESS, all)).toMatchObject({ flags: ALL, rev_nat_index: 0x0700 });
      expect(read(IS_BPF_HOST, EGRESS, all)).toMatchObject({ flags: ALL & ~0x08 });
      const full = new CtState();
      full.flags = ALL | (1 << 16);
      expect(read(IS_BPF_LXC, EGRESS, () => {}, full).flags).toBe(1 << 16);
      full.flags = ALL;
      expect(read(IS_BPF_HOST, EGRESS, () => {}, full).flags).toBe(0x08);
    });

    it("takes over the address that a DSR entry carries, and forgets an older one", () => {
      const state = read(IS_BPF_LXC, EGRESS, (e) => {
        e.words.set([1, 2, 3, 4], e.at);
        e.nat_port = 0x5000;
      });
      expect([...state.nat_addr, state.nat_port]).toEqual([1, 2, 3, 4, 0x5000]);
      expect([...read(IS_BPF_LXC, EGRESS, () => {}, state).nat_addr, state.nat_port]).toEqual([
        0, 0, 0, 0, 0,
      ]);
    });

    it("of a service is its backend, and whether a SYN asks", () => {
      const fill = (e: CtEntry): void => {
        e.backend_id = 42;
        e.flags = ALL;
      };
      const state = read(IS_BPF_LXC, SERVICE, fill);
      expect(state).toMatchObject({ backend_id: 42, syn: true, flags: 1 << 16 });
      expect(read(IS_BPF_LXC, EGRESS, fill)).toMatchObject({ backend_id: 0, syn: false });
      const { ctx, node: n } = segment(ACK);
      put(fam.map(n, 6), stored(6, SVC), fill);
      const later = new CtState();
      look(ctx, n, SERVICE, FORWARD, later);
      expect(later).toMatchObject({ backend_id: 42, syn: false });
    });
  });

  describe("accounting", () => {
    it("counts packets and bytes of hits, and of the packet that makes an entry", () => {
      const n = node({ CONNTRACK_ACCOUNTING: true });
      const { ctx } = datagram({ node: n });
      const map = fam.map(n, 17);
      const { tuple } = look(ctx, n, EGRESS, BIDIR, null, 17);
      fam.create(ctx, map, null, tuple, EGRESS, null);
      const length = fam.l4 + 8;
      const counts = () => [
        ...entryOf(map, stored(17, OUT))
          .words.subarray(entryOf(map, stored(17, OUT)).at + 4)
          .subarray(0, 4),
      ];
      expect(counts()).toEqual([1, 0, length, 0]);
      look(ctx, n, EGRESS, BIDIR, null, 17);
      expect(counts()).toEqual([2, 0, 2 * length, 0]);
    });

    it("is off unless asked for", () => {
      const { ctx, node: n } = datagram();
      const { tuple } = look(ctx, n, EGRESS, BIDIR, null, 17);
      fam.create(ctx, fam.map(n, 17), null, tuple, EGRESS, null);
      look(ctx, n, EGRESS, BIDIR, null, 17);
      const e = entryOf(fam.map(n, 17), stored(17, OUT));
      expect([...e.words.subarray(e.at + 4, e.at + 8)]).toEqual([0, 0, 0, 0]);
    });
  });

  describe("creation", () => {
    const made = (proto: number, dir: number, state: CtState | null, def: Partial<CompileConfig> = {}) => {
      const { ctx, node: n } = proto === 6 ? segment(SYN, { def }) : datagram({ def });
      const t = stored(proto, dir === EGRESS ? OUT : dir === INGRESS ? IN : SVC);
      const ret = fam.create(ctx, fam.map(n, proto), fam.map(n, 17), t, dir, state);
      return { ret, ctx, node: n, entry: entryOf(fam.map(n, proto), t) };
    };
    const full = (): CtState => {
      const s = new CtState();
      s.flags = 0x20 | 0x80 | 0x40 | 0x100 | 0x400 | 0x08 | (1 << 16) | (1 << 17);
      s.rev_nat_index = 0x0700;
      s.src_sec_id = 20001;
      s.backend_id = 42;
      s.nat_addr.set([1, 2, 3, 4]);
      s.nat_port = 0x5000;
      return s;
    };

    it("gives the first lifetime and reports the SYN", () => {
      expect(facts(made(6, EGRESS, null).entry)).toEqual({
        expires: 63,
        flags: 0,
        tx: SYN,
        rx: 0,
        txReport: 0,
        rxReport: -1,
      });
      expect(facts(made(17, INGRESS, null).entry)).toEqual({
        expires: 61,
        flags: 0,
        tx: 0,
        rx: 0,
        txReport: -1,
        rxReport: 0,
      });
      expect(facts(made(17, SERVICE, null).entry)).toMatchObject({ expires: 62 });
    });

    it("writes the state, but not what only a look-up knows", () => {
      const { entry: e, ret } = made(17, EGRESS, full());
      expect(ret).toBe(0);
      expect([e.flags, e.rev_nat_index, e.src_sec_id, e.nat_port]).toEqual([0x5e8, 0x0700, 20001, 0x5000]);
      expect([...e.words.subarray(e.at, e.at + 4)]).toEqual([1, 2, 3, 4]);
    });

    it("writes of a service its backend alone", () => {
      const { entry: e } = made(17, SERVICE, full());
      expect([e.flags, e.rev_nat_index, e.src_sec_id, e.nat_port, e.backend_id]).toEqual([
        0, 0x0700, 20001, 0, 42,
      ]);
      expect([...e.words.subarray(e.at, e.at + 4)]).toEqual([0, 0, 42, 0]);
    });

    it("writes no address without a port", () => {
      const s = full();
      s.nat_port = 0;
      const { entry: e } = made(17, EGRESS, s);
      expect([...e.words.subarray(e.at, e.at + 4)]).toEqual([0, 0, 0, 0]);
    });

    it("leaves nothing of the entry before in the next one", () => {
      const n = node();
      const { ctx } = datagram({ node: n });
      fam.create(ctx, fam.map(n, 17), null, stored(17, OUT), EGRESS, full());
      fam.create(ctx, fam.map(n, 17), null, stored(17, IN), INGRESS, null);
      const e = entryOf(fam.map(n, 17), stored(17, IN));
      expect([...e.words.subarray(e.at, e.at + CT_ENTRY_WORDS)]).toEqual([
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        T0 + 61,
        0,
        0,
        0,
        0,
        T0,
      ]);
    });

    it("makes an entry that ICMP errors of the connection meet, before its own", () => {
      const { node: n } = made(6, EGRESS, full());
      const related = stored(6, OUT | REL);
      related.ports = 0;
      related.nexthdr = fam.icmpProto;
      const any = fam.map(n, 17);
      expect(any.size).toBe(1);
      expect(facts(entryOf(any, related))).toMatchObject({ expires: 63, flags: 0x5e8 });
    });

    it("counts the packet in its own entry, not in that of errors", () => {
      const { node: n, entry: e } = made(6, EGRESS, null, { CONNTRACK_ACCOUNTING: true });
      const related = stored(6, OUT | REL);
      related.ports = 0;
      related.nexthdr = fam.icmpProto;
      const r = entryOf(fam.map(n, 17), related);
      expect([e.words[e.at + 4], r.words[r.at + 4]]).toEqual([1, 0]);
    });

    it("drops the packet when a map refuses the entry, with the error number", () => {
      const tiny = (): BpfMap =>
        createMap({
          name: "tiny",
          type: "hash",
          keySize: fam === V4 ? 14 : 38,
          valueSize: CT_ENTRY_SIZE,
          maxEntries: 1,
        });
      const { ctx, node: n } = datagram();
      const [main, related] = [tiny(), tiny()];
      put(related, stored(6, IN));
      const recorder = new StepRecorder(n.clock, 8);
      n.datapath.recorder = recorder;
      expect(fam.create(ctx, main, related, stored(17, OUT), EGRESS, null)).toBe(-155);
      expect([ctx.ext_err, main.size]).toEqual([-7, 0]);
      ctx.ext_err = 0;
      expect(fam.create(ctx, main, null, stored(17, OUT), EGRESS, null)).toBe(0);
      expect(ctx.ext_err).toBe(0);
      expect(fam.create(ctx, main, null, stored(17, IN), EGRESS, null)).toBe(-155);
      expect(recorder.records().map((s) => [s.kind, s.a])).toEqual([
        [Step.MAP_UPDATE, -7],
        [Step.MAP_UPDATE, 0],
        [Step.MAP_UPDATE, -7],
      ]);
    });

    it("says in debug builds what it made", () => {
      const { node: n } = made(17, EGRESS, full(), { DEBUG: true });
      const v = new Int32Array(samples(n)[0]!.slice(0, 20).buffer);
      expect([v[0]! & 0xffff, v[2], v[3], v[4]]).toEqual([2 | (fam.debug[2] << 8), 0x0700, 20001, 0]);
      expect(samples(made(17, EGRESS, full()).node)).toEqual([]);
    });
  });

  describe("looks without a touch", () => {
    it("find the entry of the other direction, the egress entry, and whether a loopback service made it", () => {
      const { ctx, node: n } = datagram();
      const map = fam.map(n, 17);
      const recorder = new StepRecorder(n.clock, 16);
      n.datapath.recorder = recorder;
      const ask = () => [
        fam.isReply(ctx, map, loaded(17, SVC)),
        fam.hasEgress(ctx, map, stored(17, SVC)),
        fam.hasLoopback(ctx, map, stored(17, IN)),
      ];
      expect(ask()).toEqual([false, false, false]);
      put(map, loaded(17, IN));
      expect(ask()).toEqual([true, false, false]);
      put(map, stored(17, OUT));
      expect(ask()).toEqual([true, true, false]);
      put(map, stored(17, OUT), (e) => {
        e.flags = 0x08;
      });
      expect(ask()).toEqual([true, true, true]);
      expect(facts(entryOf(map, stored(17, OUT)))).toMatchObject({ expires: -T0 });
      expect(recorder.records().map((s) => s.kind)).toEqual(new Array(12).fill(Step.MAP_LOOKUP));
    });

    it("leave the flags of their tuple where the caller needs them again", () => {
      const { ctx, node: n } = datagram();
      const [a, b, c] = [loaded(17, SVC), stored(17, SVC), stored(17, IN)];
      fam.isReply(ctx, fam.map(n, 17), a);
      fam.hasEgress(ctx, fam.map(n, 17), b);
      fam.hasLoopback(ctx, fam.map(n, 17), c);
      expect([a.flags, b.flags, c.flags]).toEqual([IN, OUT, IN]);
    });
  });

  it("a service entry takes another backend, if it exists", () => {
    const { ctx, node: n } = datagram();
    const map = fam.map(n, 17);
    const t = stored(17, SVC);
    const recorder = new StepRecorder(n.clock, 16);
    n.datapath.recorder = recorder;
    ct.ct_update_svc_entry(ctx, map, t.words, 5, 6);
    n.datapath.recorder = null;
    ct.ct_update_svc_entry(ctx, map, t.words, 5, 6);
    n.datapath.recorder = recorder;
    expect(map.size).toBe(0);
    put(map, t, (e) => {
      e.words.set([1, 2, 3, 4], e.at);
      e.flags = 0x10;
      e.rev_nat_index = 9;
    });
    ct.ct_update_svc_entry(ctx, map, t.words, 5, 0x0600);
    const e = entryOf(map, t);
    expect([...e.words.subarray(e.at, e.at + 4), e.flags, e.rev_nat_index]).toEqual([
      1, 2, 5, 0, 0x10, 0x0600,
    ]);
    expect(recorder.records().map((s) => [s.kind, s.a])).toEqual([
      [Step.MAP_LOOKUP, -1],
      [Step.MAP_LOOKUP, map.peek(t.words)],
    ]);
  });
});

it("ports in tests are in network order", () => {
  expect([be16(80), be16(0x3412)]).toEqual([DPORT, SPORT]);
});
