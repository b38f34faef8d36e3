// Frames with what is random in them taken out, so that two runs of one lab compare equal: IP ids, TCP sequence
// numbers (made relative), timestamps, window scale and window, tunnel source ports; checksums are replaced by
// whether they are right.

const hex = (b: Uint8Array, from: number, to: number): string => {
  let s = "";
  for (let i = from; i < to && i < b.length; i++) s += b[i]!.toString(16).padStart(2, "0");
  return s;
};

/** Internet checksum over `b[from..to)` on top of `sum`: 0 when right. */
function csum(b: Uint8Array, from: number, to: number, sum = 0): number {
  let s = sum;
  for (let i = from; i < to; i += 2) s += (b[i]! << 8) | (i + 1 < to ? b[i + 1]! : 0);
  while (s > 0xffff) s = (s & 0xffff) + Math.floor(s / 65536);
  return ~s & 0xffff;
}

const u16 = (b: Uint8Array, o: number): number => (b[o]! << 8) | b[o + 1]!;
const u32 = (b: Uint8Array, o: number): number =>
  ((b[o]! << 24) | (b[o + 1]! << 16) | (b[o + 2]! << 8) | b[o + 3]!) >>> 0;
const ip = (b: Uint8Array, o: number): string => `${b[o]}.${b[o + 1]}.${b[o + 2]}.${b[o + 3]}`;

/** One capture's worth of state: the bases of its TCP sequence numbers. */
export class FrameNorm {
  readonly #base = new Map<string, number>();
  /** What was wrong with frames, in words. */
  readonly bad: string[] = [];
  readonly #made = new Map<number, string>();

  /**
   * `known`: ports and ICMP ids that the lab itself names. Others were chosen by the kernel (masquerading after a
   * collision or with --random-fully) and become `#1`, `#2` ... in order of appearance. Without it all are kept.
   */
  constructor(private readonly known?: ReadonlySet<number>) {}

  #port(p: number): string {
    if (this.known === undefined || this.known.has(p)) return String(p);
    let t = this.#made.get(p);
    if (t === undefined) {
      t = `#${this.#made.size + 1}`;
      this.#made.set(p, t);
    }
    return t;
  }

  #rel(key: string, v: number): string {
    if (v === 0) return "0";
    const base = this.#base.get(key);
    if (base === undefined) {
      this.#base.set(key, v);
      return "+0";
    }
    const d = (v - base) >>> 0;
    return d < 1 << 24 ? `+${d}` : "far";
  }

  /** A frame as one comparable line; `raw`: it starts at the IP header. */
  frame(f: Uint8Array, raw: boolean): string {
    if (raw) return this.ipv4(f, false);
    if (f.length < 14) return `short ${hex(f, 0, f.length)}`;
    const head = `${hex(f, 0, 6)}<-${hex(f, 6, 12)}`;
    const t = u16(f, 12);
    if (t === 0x0800) return `${head} ${this.ipv4(f.subarray(14), false)}`;
    if (t === 0x0806) return `${head} arp ${hex(f, 14, 42)}`;
    return `${head} ${t.toString(16)} ${hex(f, 14, f.length)}`;
  }

  /** An IPv4 packet. */
  ipv4(p: Uint8Array, quoted: boolean): string {
    if (p.length < 20 || p[0]! >> 4 !== 4) return `raw ${hex(p, 0, p.length)}`;
    const hl = (p[0]! & 15) * 4;
    const tot = u16(p, 2);
    const fo = u16(p, 6);
    const proto = p[9]!;
    if (!quoted && csum(p, 0, hl) !== 0) this.bad.push("ip checksum");
    const h = `ip tos=${p[1]} len=${tot} id=${u16(p, 4) !== 0 ? "x" : "0"} fo=${fo.toString(16)} ttl=${p[8]} ${ip(p, 12)}>${ip(p, 16)}${hl > 20 ? ` opt=${hex(p, 20, hl)}` : ""}`;
    const b = p.subarray(hl, Math.min(tot, p.length));
    if ((fo & 0x1fff) !== 0) return `${h} p${proto} fragment ${b.length}`;
    const more = (fo & 0x2000) !== 0;
    const pseudo = (len: number): number => u16(p, 12) + u16(p, 14) + u16(p, 16) + u16(p, 18) + proto + len;
    if (proto === 17 && b.length >= 8) {
      const dp = u16(b, 2);
      const ln = u16(b, 4);
      const c = u16(b, 6);
      let cs = c === 0 ? "0" : "ok";
      if (c !== 0 && !quoted && !more && csum(b, 0, Math.min(ln, b.length), pseudo(ln)) !== 0) cs = "bad";
      if (dp === 4789 && b.length >= 30 && b[8] === 8)
        return `${h} vxlan len=${ln} csum=${cs} ${hex(b, 8, 16)} [${this.frame(b.subarray(16), false)}]`;
      if (dp === 6081 && b.length >= 30 && b[8] === 0 && u16(b, 10) === 0x6558)
        return `${h} geneve len=${ln} csum=${cs} ${hex(b, 8, 16)} [${this.frame(b.subarray(16), false)}]`;
      return `${h} udp ${this.#port(u16(b, 0))}>${this.#port(dp)} len=${ln} csum=${cs} ${hex(b, 8, quoted ? 72 : b.length)}`;
    }
    if (proto === 6 && b.length >= 20) {
      const sp = u16(b, 0);
      const dp = u16(b, 2);
      const fl = b[13]!;
      const ohl = (b[12]! >> 4) * 4;
      const ok = quoted || more || csum(b, 0, b.length, pseudo(b.length)) === 0;
      const pair = `${Math.min(sp, dp)}/${Math.max(sp, dp)}`;
      const kinds: string[] = [];
      for (let i = 20; i < Math.min(ohl, b.length); ) {
        const k = b[i]!;
        if (k === 0) break;
        if (k === 1) {
          kinds.push("nop");
          i++;
          continue;
        }
        const n = b[i + 1] ?? 0;
        if (n < 2) break;
        if (k === 5) {
          const e: string[] = [];
          for (let j = i + 2; j + 4 <= i + n; j += 4) e.push(this.#rel(`${pair}:${dp}`, u32(b, j)));
          kinds.push(`sack(${e.join(",")})`);
        } else kinds.push(k === 8 ? "ts" : k === 3 ? "ws" : `${k}:${hex(b, i + 2, i + n)}`);
        i += n;
      }
      const seq = this.#rel(`${pair}:${sp}`, u32(b, 4));
      const ack = (fl & 16) !== 0 ? this.#rel(`${pair}:${dp}`, u32(b, 8)) : "-";
      const flags = ["F", "S", "R", "P", "A", "U", "E", "C"].filter((_, i) => (fl & (1 << i)) !== 0).join("");
      return `${h} tcp ${this.#port(sp)}>${this.#port(dp)} ${flags} seq=${seq} ack=${ack} csum=${ok ? "ok" : "bad"} urg=${u16(b, 18)} [${kinds.join(" ")}] ${b.length - ohl}:${hex(b, ohl, b.length)}`;
    }
    if (proto === 1 && b.length >= 8) {
      const ok = quoted || more || csum(b, 0, b.length) === 0;
      if ([3, 4, 5, 11, 12].includes(b[0]!))
        return `${h} icmp-error ${b[0]}/${b[1]} ${hex(b, 4, 8)} csum=${ok ? "ok" : "bad"} about [${this.ipv4(b.subarray(8), true)}]`;
      // Timestamp replies carry three times.
      const echo = b[0] === 0 || b[0] === 8;
      const body =
        b[0] === 14
          ? `${hex(b, 4, 8)} times`
          : echo
            ? `id=${this.#port(u16(b, 4))} ${hex(b, 6, b.length)}`
            : hex(b, 4, b.length);
      return `${h} icmp ${b[0]}/${b[1]} csum=${ok ? "ok" : "bad"} ${body}`;
    }
    if (proto === 4) return `${h} ipip [${this.ipv4(b, quoted)}]`;
    return `${h} proto ${proto} ${hex(b, 0, b.length)}`;
  }
}
