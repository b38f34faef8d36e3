// Weights of the modelled cost: nanoseconds of CPU for one step of the real path, in one place.
//
// Origin. Two measurements on one machine (Linux 6.18, 2-vCPU KVM guest on an AMD EPYC of family 26, JIT on, retpolines):
//   K  the kernel's path: CPU time of TCP request/response, connect-request-response and UDP on the network of
//      measured_lab.ts with no rules, about 30 rules, 1000 kube-proxy services, and with BPF host routing. Weights marked K
//      are a least-squares fit of these 30 figures over the counts that the model's own walks give, regularised towards
//      the few parts that can be read off directly.
//   B  BPF_PROG_TEST_RUN of the released 1.19.4 programs and of single map operations: differences of rows.
//
// Error. K fits its 18 ratios of legacy to BPF within 5 % and its absolute figures within 4 %. A single K weight is less
// certain than their sum: backlog, transmit, fib and neighbour nearly always occur together, so that the split between
// them is a choice (each +-40 %, their sum +-10 %). Rules, chains and conntrack are separated by the different rule sets
// (+-20 %). B weights were solved by hand from a few rows with warm caches, agree with the others within about 12 %
// (worked out once, no test holds it); cold ones cost up to three times as much. Weights without a measurement say so.

export interface Weight {
  /** Nanoseconds for one step. */
  readonly ns: number;
  /** Relative error, as a fraction. */
  readonly error: number;
  readonly origin: "K" | "B" | "assumed";
  readonly note: string;
}

const w = (ns: number, error: number, origin: Weight["origin"], note: string): Weight => ({
  ns,
  error,
  origin,
  note,
});

/** Weights by step. */
export const WEIGHTS = {
  backlog: w(240, 0.4, "K", "enqueue to the per-CPU backlog, softirq, receive"),
  // netkit_xmit was not measured and counts as veth_xmit, so that the model cannot rank the two.
  transmit: w(188, 0.4, "K", "dev_queue_xmit and veth_xmit"),
  fib: w(188, 0.4, "K", "route look-up with its dst"),
  bpfFib: w(72, 0.3, "B", "bpf_fib_lookup, without a dst"),
  neighbour: w(68, 0.4, "K", "neighbour output with the Ethernet header"),
  forward: w(64, 0.4, "K", "ip_forward"),
  netfilterHook: w(80, 0.3, "K", "a hook with functions on it"),
  chain: w(28, 0.3, "K", "a base chain"),
  userChain: w(7, 0.5, "K", "a jump to a chain"),
  rule: w(14.5, 0.2, "K", "a rule evaluated (nf_tables backend)"),
  conntrack: w(711, 0.2, "K", "nf_conntrack look-up, state, confirm of a known entry"),
  conntrackNew: w(3330, 0.2, "K", "entry made, NAT set up for it, confirmed, destroyed"),
  nat: w(90, 1, "assumed", "rewrite of a known mapping: address, port, two checksums"),
  ipvs: w(300, 1, "assumed", "IPVS connection look-up and rewrite"),
  encapsulate: w(
    262,
    0.6,
    "assumed",
    "outer header; the outer route and the outer packet's hooks count by themselves",
  ),
  decapsulate: w(300, 0.6, "assumed", "tunnel receive, scrub"),
  bridge: w(120, 1, "assumed", "FDB look-up and forward"),
  program: w(50, 0.3, "B", "entry of a tc program"),
  tailCall: w(21, 0.4, "B", "tail call"),
  mapLookup: w(35, 0.2, "B", "hash, LRU or array look-up, hit or miss; ipcache 56"),
  bpfConntrack: w(200, 0.25, "B", "ct_lookup beyond its map look-ups: tuple, state, accounting"),
  policy: w(76, 0.2, "B", "two LPM look-ups and the decision"),
  mapUpdate: w(430, 0.25, "B", "insert into an LRU map that is not full"),
  redirect: w(30, 0.5, "assumed", "bpf_redirect; the transmission counts by itself"),
  redirectPeer: w(108, 0.4, "K", "scrub and another round of the receive path"),
  redirectNeigh: w(65, 0.4, "K", "strip the header; look-up and neighbour count by themselves"),
} as const satisfies Readonly<Record<string, Weight>>;

export type CostStep = keyof typeof WEIGHTS;

/** End hosts' share of an operation, ns: sockets, scheduling, the pods' own stack. Origin K, +-4 %. */
export const END_HOSTS = {
  /** TCP request and response on a connection (two packets). */
  rr: 12_260,
  /** TCP connection with one request and response, closed by RST. */
  crr: 47_160,
  /** One datagram. */
  pps: 3_040,
} as const;
export type EndHosts = keyof typeof END_HOSTS;

/** Measured CPU time per operation, ns (medians of five runs), by rule set. */
export const MEASURED: readonly {
  readonly test: EndHosts;
  readonly path: "same" | "cross";
  readonly legacyNone: number;
  readonly legacy30: number;
  readonly legacyKube1000: number;
  readonly bpfNone: number;
  readonly bpfKube1000: number;
}[] = [
  {
    test: "rr",
    path: "same",
    legacyNone: 14_355,
    legacy30: 17_481,
    legacyKube1000: 16_636,
    bpfNone: 12_936,
    bpfKube1000: 12_950,
  },
  {
    test: "rr",
    path: "cross",
    legacyNone: 16_127,
    legacy30: 21_336,
    legacyKube1000: 20_575,
    bpfNone: 14_742,
    bpfKube1000: 14_668,
  },
  {
    test: "crr",
    path: "same",
    legacyNone: 55_543,
    legacy30: 69_494,
    legacyKube1000: 80_790,
    bpfNone: 50_336,
    bpfKube1000: 51_336,
  },
  {
    test: "crr",
    path: "cross",
    legacyNone: 61_361,
    legacy30: 88_398,
    legacyKube1000: 114_587,
    bpfNone: 56_078,
    bpfKube1000: 56_374,
  },
  {
    test: "pps",
    path: "same",
    legacyNone: 3_947,
    legacy30: 5_292,
    legacyKube1000: 5_066,
    bpfNone: 3_440,
    bpfKube1000: 3_456,
  },
  {
    test: "pps",
    path: "cross",
    legacyNone: 4_710,
    legacy30: 7_186,
    legacyKube1000: 6_770,
    bpfNone: 4_210,
    bpfKube1000: 4_318,
  },
];
