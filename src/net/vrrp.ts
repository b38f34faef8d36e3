// VRRP versions 2 and 3 (RFC 3768, RFC 5798): the head of an advertisement, for classification and printing.
//
//   offset  size  field
//   0       1     version 4 bits, type 4 bits (1 = advertisement)
//   1       1     vrid
//   2       1     priority
//   3       1     count of addresses
//   4       2     v2: auth type 1, interval 1 (s) · v3: reserved 4 bits, interval 12 bits (1/100 s)
//   6       2     check
//   8       4n    addresses

export const VRRP_HLEN = 8;

export const VRRP_ADVERTISEMENT = 1;

export function version(view: DataView, off: number): number {
  return view.getUint8(off) >> 4;
}

export function type(view: DataView, off: number): number {
  return view.getUint8(off) & 0xf;
}

export function vrid(view: DataView, off: number): number {
  return view.getUint8(off + 1);
}

export function priority(view: DataView, off: number): number {
  return view.getUint8(off + 2);
}

export function count(view: DataView, off: number): number {
  return view.getUint8(off + 3);
}

/** Interval as sent: seconds in version 2, hundredths in version 3. */
export function interval(view: DataView, off: number): number {
  return version(view, off) === 2 ? view.getUint8(off + 5) : view.getUint16(off + 4) & 0xfff;
}
