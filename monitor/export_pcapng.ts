// Captured packets of a monitor stream to pcapng: what each event saw, as Wireshark, tshark and tcpdump read it.
//
//   event           interface   direction            epb_verdict (tc)        comments
//   trace           ifindex     from-* in, to-* out  TC_ACT_OK               hook, verdict, the default line
//   drop            ifindex     unknown              TC_ACT_SHOT             "
//   policy verdict  -           its own bit          OK, SHOT or REDIRECT    "
//   capture         arg1        by its kind          none                    "
//
// epb_queue holds the CPU. The ring's padding is left out: a packet has the bytes that were captured. Packets of
// devices without Ethernet header get one of zeroes, and a comment that says so: libpcap, and with it tcpdump, refuses
// files whose interfaces have different link types.

import { DIRECTION_INBOUND, DIRECTION_OUTBOUND, PcapngWriter, VERDICT_EBPF_TC } from "../src/net/pcapng.js";
import { dropReasonText } from "./debug_message.js";
import { CLS_FLAG_L3_DEV, DatapathEvent, POLICY_AUDITED, POLICY_DIR_MASK, POLICY_L3_DEV } from "./event.js";
import { MonitorFormatter } from "./format.js";
import { le16 } from "./go_text.js";
import {
  EVENT_CAPTURE,
  EVENT_DROP,
  EVENT_POLICY_VERDICT,
  EVENT_RECORDER,
  EVENT_TRACE,
  type Profile,
} from "./release.js";

const TC_ACT_OK = 0n;
const TC_ACT_SHOT = 2n;
const TC_ACT_REDIRECT = 7n;
const NS_PER_SEC = 1_000_000_000;

/** Debug captures that have an ifindex as argument. */
const CAPTURE_DELIVERY = 4;
const CAPTURE_FROM_LB = 5;

const ETH_HLEN = 14;

/** The packet behind an Ethernet header without addresses. */
function withEthernet(packet: Uint8Array): Uint8Array {
  const out = new Uint8Array(ETH_HLEN + packet.length);
  const v6 = packet[0]! >> 4 === 6;
  out[12] = v6 ? 0x86 : 0x08;
  out[13] = v6 ? 0xdd : 0x00;
  out.set(packet, ETH_HLEN);
  return out;
}

export interface PcapngExportOptions {
  readonly profile: Profile;
  /** Name of a node's interface; its index is used where there is none. */
  readonly ifnames?: (node: string, ifindex: number) => string | undefined;
  /** Written into the section header. */
  readonly application?: string;
}

/** Turns events into pcapng blocks. The bytes of `take` in order make the file. */
export class PcapngExport {
  readonly #writer: PcapngWriter;
  readonly #interfaces = new Map<string, number>();
  readonly #ev = new DatapathEvent();
  readonly #profile: Profile;
  readonly #ifnames: ((node: string, ifindex: number) => string | undefined) | undefined;
  readonly #line: MonitorFormatter;
  #node = "";
  #packets = 0;

  constructor(options: PcapngExportOptions) {
    this.#profile = options.profile;
    this.#ifnames = options.ifnames;
    this.#writer = new PcapngWriter({ application: options.application ?? "podpath" });
    this.#line = new MonitorFormatter({
      profile: options.profile,
      ifnames: (ifindex) => this.#ifnames?.(this.#node, ifindex),
    });
  }

  /** Packets written so far. */
  get packets(): number {
    return this.#packets;
  }

  /** Adds an event of `node` ("" where there is only one); false if it carries no packet. */
  add(node: string, cpu: number, ns: number, sample: Uint8Array): boolean {
    const ev = this.#ev;
    const type = sample[0];
    if (
      type !== EVENT_TRACE &&
      type !== EVENT_DROP &&
      type !== EVENT_CAPTURE &&
      type !== EVENT_POLICY_VERDICT &&
      !(type === EVENT_RECORDER && this.#profile.release.hasRecorder)
    ) {
      return false;
    }
    if (ev.decode(this.#profile, sample) !== "") return false;
    // The u32 that old decoders read for drops has the version in its upper half.
    const captured = type === EVENT_RECORDER ? ev.lenCap >>> 0 : le16(sample, 12);
    let bytes = sample.subarray(ev.packet, Math.min(sample.length, ev.packet + captured));
    if (bytes.length === 0) return false;
    this.#node = node;

    let ifindex = 0;
    let direction = 0;
    let verdict: bigint | undefined;
    let hook: string;
    let outcome = "none";
    let raw = false;
    const p = this.#profile;
    switch (type) {
      case EVENT_TRACE:
        ifindex = ev.ifindex;
        hook = p.tracePointVerbose[ev.subtype]!;
        direction = hook.startsWith("from-")
          ? DIRECTION_INBOUND
          : hook.startsWith("to-")
            ? DIRECTION_OUTBOUND
            : 0;
        verdict = TC_ACT_OK;
        outcome = `forwarded, state ${p.traceReasons[ev.reason]}`;
        raw = (ev.flags & CLS_FLAG_L3_DEV) !== 0;
        break;
      case EVENT_DROP:
        ifindex = ev.ifindex;
        hook = p.release.sourceFiles.length > 0 ? `drop at ${p.sourceFiles[ev.file]}:${ev.line}` : "drop";
        verdict = TC_ACT_SHOT;
        outcome = `dropped, ${dropReasonText(p, ev.subtype, ev.extError)}`;
        raw = (ev.flags & CLS_FLAG_L3_DEV) !== 0;
        break;
      case EVENT_POLICY_VERDICT: {
        hook = "policy-verdict";
        direction = (ev.flags & POLICY_DIR_MASK) === 1 ? DIRECTION_INBOUND : DIRECTION_OUTBOUND;
        const v = ev.verdict;
        verdict = v < 0 ? TC_ACT_SHOT : v > 0 ? TC_ACT_REDIRECT : TC_ACT_OK;
        outcome =
          (ev.flags & POLICY_AUDITED) !== 0
            ? "audit"
            : v < 0
              ? "deny"
              : v > 0
                ? `redirect to port ${v}`
                : "allow";
        raw = (ev.flags & POLICY_L3_DEV) !== 0;
        break;
      }
      case EVENT_CAPTURE:
        hook = `capture ${ev.subtype}`;
        if (ev.subtype === CAPTURE_DELIVERY) direction = DIRECTION_OUTBOUND;
        else if (ev.subtype === CAPTURE_FROM_LB) direction = DIRECTION_INBOUND;
        if (direction !== 0) ifindex = ev.arg1;
        break;
      default:
        hook = "recorder";
        direction = ev.subtype === 1 ? DIRECTION_INBOUND : DIRECTION_OUTBOUND;
    }
    const comments = [`hook ${hook}`, `verdict ${outcome}`, `cpu ${cpu}`];
    let origLen = ev.lenOrig >>> 0;
    if (raw && p.release.extendedLayers) {
      bytes = withEthernet(bytes);
      origLen += ETH_HLEN;
      comments.push("no Ethernet header: the device has none, this one is made up");
    }
    const line = this.#line.format(cpu, sample);
    if (line !== "" && type !== EVENT_RECORDER) comments.push(line.trimEnd());
    const sec = Math.floor(ns / NS_PER_SEC);
    this.#writer.packet(this.#interface(node, ifindex), sec, ns - sec * NS_PER_SEC, bytes, {
      origLen: Math.max(origLen, bytes.length),
      comments,
      queue: cpu,
      ...(direction === 0 ? {} : { flags: direction }),
      ...(verdict === undefined ? {} : { verdict: { kind: VERDICT_EBPF_TC, value: verdict } }),
    });
    this.#packets++;
    return true;
  }

  #interface(node: string, ifindex: number): number {
    const key = `${node}/${ifindex}`;
    let index = this.#interfaces.get(key);
    if (index === undefined) {
      const own = ifindex === 0 ? "unknown" : (this.#ifnames?.(node, ifindex) ?? `ifindex ${ifindex >>> 0}`);
      index = this.#writer.addInterface({ name: node === "" ? own : `${node}/${own}` });
      this.#interfaces.set(key, index);
    }
    return index;
  }

  /** The last bytes. A file without packets gets an interface: libpcap reads none that has not. */
  finish(): Uint8Array {
    if (this.#interfaces.size === 0) this.#interface("", 0);
    return this.#writer.take();
  }

  /** The bytes since the last call; the first ones are the file's header. */
  take(): Uint8Array {
    return this.#writer.take();
  }
}
