// struct bpf_fib_lookup: the 64-byte parameter block of bpf_fib_lookup, kept as bytes because recorded runs
// compare the block before and after the call.
//
//   off size  in                          out
//   0   1     family
//   1   1     l4 protocol
//   2   2     sport (be)
//   4   2     dport (be)
//   6   2     tot_len                     mtu_result
//   8   4     ifindex (input device)      ifindex (output device)
//   12  4     tos (v4) / flowinfo (v6)    rt_metric
//   16  16    src                         src (with BPF_FIB_LOOKUP_SRC)
//   32  16    dst                         next hop
//   48  4     h_vlan_proto, h_vlan_TCI / tbid
//   52  6     -                           smac
//   58  6     -                           dmac

export const FIB_LOOKUP_SIZE = 64;

export const BPF_FIB_LOOKUP_DIRECT = 1;
export const BPF_FIB_LOOKUP_OUTPUT = 2;
export const BPF_FIB_LOOKUP_SKIP_NEIGH = 4;
export const BPF_FIB_LOOKUP_TBID = 8;
export const BPF_FIB_LOOKUP_SRC = 16;

export const BPF_FIB_LKUP_RET_SUCCESS = 0;
export const BPF_FIB_LKUP_RET_BLACKHOLE = 1;
export const BPF_FIB_LKUP_RET_UNREACHABLE = 2;
export const BPF_FIB_LKUP_RET_PROHIBIT = 3;
export const BPF_FIB_LKUP_RET_NOT_FWDED = 4;
export const BPF_FIB_LKUP_RET_FWD_DISABLED = 5;
export const BPF_FIB_LKUP_RET_UNSUPP_LWT = 6;
export const BPF_FIB_LKUP_RET_NO_NEIGH = 7;
export const BPF_FIB_LKUP_RET_FRAG_NEEDED = 8;
export const BPF_FIB_LKUP_RET_NO_SRC_ADDR = 9;

export class FibLookup {
  readonly bytes = new Uint8Array(FIB_LOOKUP_SIZE);
  readonly view: DataView = new DataView(this.bytes.buffer);
  readonly #words = new Int32Array(this.bytes.buffer);

  clear(): void {
    const words = this.#words;
    for (let i = 0; i < FIB_LOOKUP_SIZE >> 2; i++) words[i] = 0;
  }

  get family(): number {
    return this.bytes[0]!;
  }
  set family(v: number) {
    this.bytes[0] = v;
  }
  get ifindex(): number {
    return this.view.getInt32(8, true);
  }
  set ifindex(v: number) {
    this.view.setInt32(8, v, true);
  }
  /** Total IP length for the MTU check; 0 = none. */
  set totLen(v: number) {
    this.view.setUint16(6, v, true);
  }
  get totLen(): number {
    return this.view.getUint16(6, true);
  }
  /** Be32. */
  get ipv4Src(): number {
    return this.view.getInt32(16, true);
  }
  set ipv4Src(v: number) {
    this.view.setInt32(16, v, true);
  }
  /** Be32; after the call the next hop. */
  get ipv4Dst(): number {
    return this.view.getInt32(32, true);
  }
  set ipv4Dst(v: number) {
    this.view.setInt32(32, v, true);
  }
}
