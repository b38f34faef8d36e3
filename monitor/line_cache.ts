// Small direct-mapped caches of finished lines. A monitor stream says the same things over and over: a packet passes many
// points with the headers it had, a flow's events differ in little but the point.

import { be32 } from "./go_text.js";

const STRIDE = 20;
/** Slots of a cache of lines that come again and again. */
const MANY = 512;
/**
 * Of a cache of lines that are one packet's, which come again only at its next points: more would be work for the garbage
 * collector, which moves what is held twice before it leaves it alone.
 */
export const FEW = 64;

/**
 * Finished lines by the 32-bit words of what they were made of; a slot holds the last line that hashed there. A line
 * may also depend on a name that is looked up (`tag`): then it only counts while the name is the same.
 */
export class LineCache {
  readonly #keys: Int32Array;
  readonly #lines: string[];
  readonly #tags: string[];
  readonly #shift: number;
  #slot = 0;

  /** `slots` is a power of two. */
  constructor(slots: number = MANY) {
    this.#keys = new Int32Array(slots * STRIDE);
    this.#lines = new Array<string>(slots).fill("");
    this.#tags = new Array<string>(slots).fill("");
    this.#shift = 1 + Math.clz32(slots);
  }

  /** The line for `words` 32-bit words at `off` and `extra`; "" after which `put` may store it. */
  find(b: Uint8Array, off: number, words: number, extra: number, tag = ""): string {
    let h = Math.imul(extra ^ words, 0x9e3779b1);
    const end = off + words * 4;
    for (let o = off; o < end; o += 4) h = Math.imul((h << 5) ^ (h >>> 27) ^ be32(b, o), 0x9e3779b1);
    const slot = h >>> this.#shift;
    this.#slot = slot;
    const keys = this.#keys;
    const k = slot * STRIDE;
    if (keys[k] !== words || keys[k + 1] !== extra) return "";
    for (let i = 0, o = off; i < words; i++, o += 4) if (keys[k + 2 + i] !== be32(b, o)) return "";
    return this.#tags[slot] === tag ? this.#lines[slot]! : "";
  }

  /** Stores the line that the last `find` missed. */
  put(b: Uint8Array, off: number, words: number, extra: number, line: string, tag = ""): string {
    const keys = this.#keys;
    const k = this.#slot * STRIDE;
    keys[k] = words;
    keys[k + 1] = extra;
    for (let i = 0, o = off; i < words; i++, o += 4) keys[k + 2 + i] = be32(b, o);
    // A line put together from thirty pieces is a tree of them until somebody looks into it; looking now makes it one
    // string, which every later use copies in one go. (No line begins with NUL: the look is not optimised away.)
    if (line.charCodeAt(0) === 0) return "";
    this.#lines[this.#slot] = line;
    this.#tags[this.#slot] = tag;
    return line;
  }
}
