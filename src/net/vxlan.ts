// VXLAN header (RFC 7348) with the group policy extension, after net/vxlan.h.
//
//   offset  size  field
//   0       1     flags     0x08 = VNI valid (I), 0x80 = group policy id valid (G)
//   1       1     GBP: D 0x40, A 0x08; else reserved
//   2       2     GBP: group policy id; else reserved
//   4       3     vni
//   7       1     reserved
//   8       ...   inner Ethernet frame

export const VXLAN_HLEN = 8;
/** Port of the RFC. */
export const VXLAN_PORT = 4789;
/** Port of Linux before the RFC, which Cilium and flannel keep. */
export const VXLAN_PORT_LINUX = 8472;
/** Outer Ethernet is not counted: IPv4 20 + UDP 8 + VXLAN 8 + inner Ethernet 14. */
export const VXLAN_OVERHEAD4 = 50;
export const VXLAN_OVERHEAD6 = 70;

export const VXLAN_F_VNI = 0x08;
export const VXLAN_F_GBP = 0x80;

export const OFF_FLAGS = 0;
export const OFF_GBP = 2;
export const OFF_VNI = 4;

export function flags(view: DataView, off: number): number {
  return view.getUint8(off);
}

/** VNI, 24 bits. */
export function vni(view: DataView, off: number): number {
  return view.getUint32(off + OFF_VNI) >>> 8;
}

export function setVni(view: DataView, off: number, v: number): void {
  view.setInt32(off + OFF_VNI, v << 8);
}

/** Group policy id. */
export function gbp(view: DataView, off: number): number {
  return view.getUint16(off + OFF_GBP);
}

/** Writes the header; 8 bytes. */
export function write(view: DataView, off: number, vniValue: number): void {
  view.setInt32(off, VXLAN_F_VNI << 24);
  view.setInt32(off + OFF_VNI, vniValue << 8);
}
