// cilium_signals: what the programs tell the agent (bpf/lib/signal.h). A perf event array like cilium_events.
//
//   0 4 signal_nr   4 4 proto (0 IPv4, 1 IPv6)        fill-up signals
//   0 4 signal_nr   4 12 auth_key (auth.ts)           authentication required

export const SIGNAL_NAT_FILL_UP = 0;
/** Exists, but nothing sends it in 1.19. */
export const SIGNAL_CT_FILL_UP = 1;
export const SIGNAL_AUTH_REQUIRED = 2;

export const SIGNAL_PROTO_V4 = 0;
export const SIGNAL_PROTO_V6 = 1;

export const SIGNAL_FILL_UP_LEN = 8;
export const SIGNAL_AUTH_LEN = 16;
