// What the files of Cilium's maps share: address families, and IPv6 addresses as four words.
// Layouts are written as tables of byte offsets at the top of each file; `W` in a constant's name says that it is
// an index of 32-bit words, so that map.words[slot * map.valueWords + X_W] is the field.

/** Family byte of keys that hold either kind of address. */
export const ENDPOINT_KEY_IPV4 = 1;
export const ENDPOINT_KEY_IPV6 = 2;

/** Anything over 32-bit words that stands for a key or a value. */
export interface Words {
  readonly words: Int32Array;
}

/** Puts the 16 address bytes at `off` of a packet (or any view) into four words. */
export function setAddr6(words: Int32Array, at: number, view: DataView, off: number): void {
  words[at] = view.getInt32(off, true);
  words[at + 1] = view.getInt32(off + 4, true);
  words[at + 2] = view.getInt32(off + 8, true);
  words[at + 3] = view.getInt32(off + 12, true);
}

/** Copies an address from words to words. */
export function copyAddr6(dst: Int32Array, to: number, src: Int32Array, from: number): void {
  dst[to] = src[from];
  dst[to + 1] = src[from + 1];
  dst[to + 2] = src[from + 2];
  dst[to + 3] = src[from + 3];
}

/** Writes four words as address bytes into a packet. */
export function putAddr6(view: DataView, off: number, words: Int32Array, from: number): void {
  view.setInt32(off, words[from], true);
  view.setInt32(off + 4, words[from + 1], true);
  view.setInt32(off + 8, words[from + 2], true);
  view.setInt32(off + 12, words[from + 3], true);
}

/** True if two addresses of four words are equal. */
export function equalAddr6(a: Int32Array, ai: number, b: Int32Array, bi: number): boolean {
  return a[ai] === b[bi] && a[ai + 1] === b[bi + 1] && a[ai + 2] === b[bi + 2] && a[ai + 3] === b[bi + 3];
}
