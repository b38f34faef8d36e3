// A rule of iptables as data, what matches and targets are, and what of a packet they see. Follows x_tables.h and
// ip_tables.h; the tables that hold rules and walk packets through them are xtables.ts.

import type { Skb } from "../../bpf/skb.js";
import type { NetDevice } from "../device.js";
import { formatAddrMask, formatProtocol } from "./text.js";
import type { XtChain } from "./xtables.js";

/** A target's answer: go on with the next rule. */
export const XT_CONTINUE = -1;
/** RETURN: to the rule after the jump. */
export const XT_RETURN = -5;

/** NFT_JUMP_STACK_SIZE. */
export const JUMP_DEPTH = 16;

// Flags of word 0.
export const F_INV_SRC = 1;
export const F_INV_DST = 2;
export const F_INV_PROTO = 4;
export const F_IN = 8;
export const F_INV_IN = 16;
export const F_OUT = 32;
export const F_INV_OUT = 64;
export const F_FRAG = 128;
export const F_INV_FRAG = 256;

/** struct xt_action_param: a packet in a chain. */
export class XtContext {
  skb!: Skb;
  hook = 0;
  inDev: NetDevice | null = null;
  outDev: NetDevice | null = null;
  /** Offset of the IP header. */
  iph = 0;
  /** Offset of L4. */
  thoff = 0;
  /** Fragment offset, in units of 8 bytes. */
  fragoff = 0;
  proto = 0;
  saddr = 0;
  daddr = 0;
  /** A match that found the packet broken asks for it to be dropped. */
  hotdrop = false;
  readonly stackChain: (XtChain | null)[] = new Array<XtChain | null>(JUMP_DEPTH).fill(null);
  readonly stackRule = new Int32Array(JUMP_DEPTH);
  /** Rules looked at in this traversal, counted while a walk is recorded. */
  evaluated = 0;
  /** For set matches. */
  inName = "";
  outName = "";
}

/** A match of a rule (struct xt_match with its data). */
export abstract class XtMatch {
  /** True if the rule goes on. Must not allocate. */
  abstract match(cx: XtContext): boolean;
  /** The match as iptables-save prints it, from `-m`. */
  abstract save(): string;
  /** It needs connection tracking. */
  get wantsConntrack(): boolean {
    return false;
  }
  /** It needs defragmentation. */
  get wantsDefrag(): boolean {
    return false;
  }
  /** A rule that holds it goes away. */
  release(): void {}
}

/** A target that is neither a verdict nor a chain (struct xt_target with its data). */
export abstract class XtTarget {
  abstract readonly name: string;
  /** NF_*, XT_CONTINUE or XT_RETURN. */
  abstract run(cx: XtContext): number;
  /** Options as iptables-save prints them after `-j NAME`, without leading space. */
  abstract save(): string;
  get wantsConntrack(): boolean {
    return false;
  }
  get wantsDefrag(): boolean {
    return false;
  }
  release(): void {}
}

/** What a rule does when it matches. */
export const enum Act {
  /** No target: count only. */
  NONE = 0,
  ACCEPT = 1,
  DROP = 2,
  RETURN = 3,
  JUMP = 4,
  GOTO = 5,
  TARGET = 6,
  QUEUE = 7,
}

/** A device name with an optional final `+`. */
export class IfacePattern {
  readonly prefix: string;
  readonly wild: boolean;
  readonly #names: string[] = [];
  readonly #result: boolean[] = [];

  constructor(readonly text: string) {
    this.wild = text.endsWith("+");
    this.prefix = this.wild ? text.slice(0, -1) : text;
  }

  /** No device is called "". The answer is kept per ifindex while the name stays the same. */
  matches(dev: NetDevice | null): boolean {
    if (dev === null) return this.wild && this.prefix === "";
    const i = dev.ifindex;
    if (this.#names[i] === dev.name) return this.#result[i]!;
    while (this.#names.length <= i) {
      this.#names.push("");
      this.#result.push(false);
    }
    this.#names[i] = dev.name;
    this.#result[i] = this.wild ? dev.name.startsWith(this.prefix) : dev.name === this.prefix;
    return this.#result[i]!;
  }
}

const NO_MATCHES: readonly XtMatch[] = [];

/** A rule as data, with its counters. */
export class XtRule {
  flags = 0;
  /** Be32, masked. */
  src = 0;
  srcMask = 0;
  dst = 0;
  dstMask = 0;
  proto = 0;
  inPattern: IfacePattern | null = null;
  outPattern: IfacePattern | null = null;
  matches: readonly XtMatch[] = NO_MATCHES;
  act: Act = Act.NONE;
  chain: XtChain | null = null;
  target: XtTarget | null = null;
  pkts = 0;
  bytes = 0;
  /** Line of the rule in the text it came from; 0 = made by a program. */
  line = 0;
  /** Handle, as nf_tables numbers rules. */
  handle = 0;
  /** The chain that holds it. */
  owner: XtChain | null = null;
  /** What it holds on to while it is in force, WANTS_*. */
  wants = 0;

  /** The rule after `-A CHAIN`, as iptables-save prints it. */
  get text(): string {
    const { conditions, action } = this;
    return conditions === "" || action === "" ? conditions + action : `${conditions} ${action}`;
  }

  /** The part of `text` before the target. */
  get conditions(): string {
    const s: string[] = [];
    const not = (flag: number): string => ((this.flags & flag) !== 0 ? "! " : "");
    if (this.srcMask !== 0 || not(F_INV_SRC) !== "")
      s.push(`${not(F_INV_SRC)}-s ${formatAddrMask(this.src, this.srcMask, true)}`);
    if (this.dstMask !== 0 || not(F_INV_DST) !== "")
      s.push(`${not(F_INV_DST)}-d ${formatAddrMask(this.dst, this.dstMask, true)}`);
    if (this.inPattern !== null) s.push(`${not(F_INV_IN)}-i ${this.inPattern.text}`);
    if (this.outPattern !== null) s.push(`${not(F_INV_OUT)}-o ${this.outPattern.text}`);
    if (this.proto !== 0) s.push(`${not(F_INV_PROTO)}-p ${formatProtocol(this.proto)}`);
    if ((this.flags & F_FRAG) !== 0) s.push(`${not(F_INV_FRAG)}-f`);
    for (const m of this.matches) s.push(m.save());
    return s.join(" ");
  }

  /** `-j` or `-g` with its target; empty for a rule that only counts. */
  get action(): string {
    if (this.act === Act.NONE) return "";
    const o = this.act === Act.TARGET ? this.target!.save() : "";
    return `${this.act === Act.GOTO ? "-g" : "-j"} ${this.verdictName}${o === "" ? "" : ` ${o}`}`;
  }

  /** The chain or verdict that it leads to, or its target's name; empty for a rule that only counts. */
  get verdictName(): string {
    switch (this.act) {
      case Act.NONE:
        return "";
      case Act.ACCEPT:
        return "ACCEPT";
      case Act.DROP:
        return "DROP";
      case Act.RETURN:
        return "RETURN";
      case Act.QUEUE:
        return "QUEUE";
      case Act.TARGET:
        return this.target!.name;
      default:
        return this.chain!.name;
    }
  }
}
