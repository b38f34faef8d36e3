// What programs return (linux/pkt_cls.h, linux/bpf.h, linux/if_link.h).

export const TC_ACT_UNSPEC = -1;
export const TC_ACT_OK = 0;
export const TC_ACT_SHOT = 2;
export const TC_ACT_STOLEN = 4;
export const TC_ACT_REDIRECT = 7;

export const XDP_ABORTED = 0;
export const XDP_DROP = 1;
export const XDP_PASS = 2;
export const XDP_TX = 3;
export const XDP_REDIRECT = 4;

/** What a program on a netkit device returns (enum netkit_action): the next program's turn, or one of tc's verdicts. */
export const NETKIT_NEXT = -1;
export const NETKIT_PASS = 0;
export const NETKIT_DROP = 2;
export const NETKIT_REDIRECT = 7;

/** Tail calls that one packet may make before the kernel refuses (MAX_TAIL_CALL_CNT). */
export const MAX_TAIL_CALL_CNT = 33;
