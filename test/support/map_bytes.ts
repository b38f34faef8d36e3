// Map entries written down field by field, as hex.

import type { BpfMap } from "../../maps/bpf_map.js";
import { parseAddr } from "../../src/cluster/cilium/policy/prefix.js";
import { fromHex, toHex } from "../../src/net/view.js";

export function u8(n: number): string {
  return n.toString(16).padStart(2, "0");
}
export function le16(n: number): string {
  return u8(n & 0xff) + u8(n >>> 8);
}
export function be16(n: number): string {
  return u8(n >>> 8) + u8(n & 0xff);
}
export function le32(n: number): string {
  return le16(n & 0xffff) + le16(n >>> 16);
}
export function le64(n: number): string {
  return le32(n % 2 ** 32) + le32(Math.floor(n / 2 ** 32));
}
/** Bytes of an address of either family. */
export function ip(text: string): string {
  return toHex(parseAddr(text));
}
export function mac(text: string): string {
  return text.replaceAll(":", "").toLowerCase();
}
export function zeros(n: number): string {
  return "00".repeat(n);
}

/** Puts an entry of hex fields into a map; the rest of the value is zero. */
export function put(map: BpfMap, key: readonly string[], value: readonly string[]): void {
  const words = (parts: readonly string[], count: number, size: number): Int32Array => {
    const bytes = fromHex(parts.join(""));
    if (bytes === undefined) throw new Error(`not hex: ${parts.join(" ")}`);
    if (bytes.length > size) throw new Error(`${bytes.length} bytes for a field of ${size}`);
    const out = new Int32Array(count);
    new Uint8Array(out.buffer).set(bytes);
    return out;
  };
  const { keySize, valueSize } = map.spec;
  const error = map.update(words(key, map.keyWords, keySize), words(value, map.valueWords, valueSize), 0);
  if (error !== 0) throw new Error(`update of ${map.spec.name}: ${error}`);
}
