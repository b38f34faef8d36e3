// Debug messages: codes and three arguments to text, by the release's table of texts with placeholders.

import { DECIMAL, hex32 } from "./go_text.js";
import type { Profile } from "./release.js";

/** A text with placeholders, taken apart: literal pieces around (argument, operation) pairs. */
export interface MessageFormat {
  readonly pieces: readonly string[];
  readonly args: readonly number[];
  readonly ops: readonly number[];
  /** An argument is an interface, whose name may change. */
  readonly named: boolean;
}

const OPS = [
  "u32",
  "hex",
  "0xhex",
  "ip4",
  "ip6tail",
  "ntohs",
  "ntohs_hi",
  "lo16",
  "hi16",
  "lo8",
  "shr8",
  "ifname",
  "ctstate",
  "ctflags",
  "ctdir",
  "errno",
];

/** Takes a text with `{ARG:OP}` placeholders apart. */
export function compileMessage(text: string): MessageFormat {
  const pieces: string[] = [];
  const args: number[] = [];
  const ops: number[] = [];
  let at = 0;
  for (const m of text.matchAll(/\{(\d):(\w+)\}/g)) {
    pieces.push(text.slice(at, m.index));
    args.push(Number(m[1]));
    ops.push(OPS.indexOf(m[2]!));
    at = m.index + m[0].length;
  }
  pieces.push(text.slice(at));
  return { pieces, args, ops, named: ops.includes(OPS.indexOf("ifname")) };
}

const CT_STATES = ["New", "Established", "Reply", "Related"];

/** `dropReasons` of a release with its forms for unknown codes and extra errors. */
export function dropReasonText(p: Profile, code: number, extError: number): string {
  const text = p.dropReasons[code];
  if (!p.release.dropExtError) return text ?? DECIMAL[code]!;
  if (text === undefined) return `${code}, ${extError}`;
  return extError === 0 ? text : `${text}, ${extError}`;
}

function swap16(v: number): number {
  return ((v & 0xff) << 8) | ((v >>> 8) & 0xff);
}

function argument(p: Profile, op: number, v: number, ifname: (ifindex: number) => string): string {
  switch (op) {
    case 0:
      return String(v >>> 0);
    case 1:
      return (v >>> 0).toString(16);
    case 2:
      return hex32(v);
    case 3:
      return `${DECIMAL[v & 0xff]}.${DECIMAL[(v >>> 8) & 0xff]}.${DECIMAL[(v >>> 16) & 0xff]}.${DECIMAL[v >>> 24]}`;
    case 4:
      return `${swap16(v).toString(16)}:${swap16(v >>> 16).toString(16)}`;
    case 5:
      return String(swap16(v));
    case 6:
      return String(swap16(v >>> 16));
    case 7:
      return String(v & 0xffff);
    case 8:
      return String(v >>> 16);
    case 9:
      return DECIMAL[v & 0xff]!;
    case 10:
      return String(v >>> 8);
    case 11:
      return ifname(v);
    case 12:
      // A negative result of the datapath is taken for a drop reason, and not even the right one.
      return CT_STATES[v >>> 0] ?? dropReasonText(p, v & 0xff, 0);
    case 13:
      return (v & 3) === 3 ? "OUT, RELATED" : (v & 1) !== 0 ? "OUT" : (v & 2) !== 0 ? "RELATED" : "";
    case 14:
      return v === 0 ? "egress" : v === 1 ? "ingress" : "";
    default: {
      if (v === 0) return "Success";
      const text = v > 0 && v < 256 ? p.errno[v]! : "";
      return text === "" ? `errno ${v >>> 0}` : text;
    }
  }
}

/** Puts the arguments into a format. */
export function fillMessage(
  p: Profile,
  f: MessageFormat,
  arg1: number,
  arg2: number,
  arg3: number,
  ifname: (ifindex: number) => string,
): string {
  const { pieces, args, ops } = f;
  let out = pieces[0]!;
  for (let i = 0; i < ops.length; i++) {
    const n = args[i]!;
    out += argument(p, ops[i]!, n === 1 ? arg1 : n === 2 ? arg2 : arg3, ifname) + pieces[i + 1]!;
  }
  return out;
}
