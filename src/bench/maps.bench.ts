// Bench of the maps beside the recorded cost of the kernel's: look-ups, updates and insertions of conntrack-shaped
// hash and LRU maps at three fills, LPM look-ups in ipcache and policy layout, and one event written to the ring.
//
// Keys are visited in a random order that is laid out beforehand, so that a case measures the map and one
// sequential read, not the making of keys. The real numbers are those of the same operations inside one BPF program.

import { HashMap } from "../../maps/hash_map.js";
import { IPCACHE_SPEC, IpcacheKey } from "../../maps/ipcache.js";
import { LpmTrie } from "../../maps/lpm_trie.js";
import { LruCacheMap } from "../../maps/lru_cache_map.js";
import { LruHashMap } from "../../maps/lru_hash_map.js";
import { PerfEventArray } from "../../maps/perf_event_array.js";
import { POLICY_SPEC, PolicyKey } from "../../maps/policy.js";
import type { MapSpec } from "../../maps/spec.js";
import { VirtualClock } from "../base/clock.js";
import { Prng } from "../base/prng.js";
import type { BenchCase, BenchSuite } from "./suite.js";

const BATCH = 4096;
const FILLS = [10_000, 100_000, 524_288] as const;

const CT: MapSpec = { name: "ct", type: "hash", keySize: 14, valueSize: 56, maxEntries: 524288 };
const LRU: MapSpec = { ...CT, type: "lru_hash" };

type TupleMap = HashMap | LruHashMap | LruCacheMap;

/** Real costs by fill, of the kernel's raw map operations. */
type Costs = readonly [number, number, number];

/** `n` distinct tuples of pods in 10.0.0.0/8 with `proto`, four words each, in random order. */
function tuples(n: number, proto: number): Int32Array {
  const prng = new Prng(n ^ proto);
  const words = new Int32Array(4 * n);
  for (let i = 0; i < n; i++) {
    // The source address numbers them, so that they are distinct.
    words[4 * i] = 0x0a | (prng.nextInt32() & 0xffffff00);
    words[4 * i + 1] = 0x0a | ((i & 0xff) << 24) | ((i >>> 8) << 8);
    words[4 * i + 2] = prng.nextInt32();
    words[4 * i + 3] = proto;
  }
  for (let i = n - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    for (let k = 0; k < 4; k++) {
      const t = words[4 * i + k];
      words[4 * i + k] = words[4 * j + k];
      words[4 * j + k] = t;
    }
  }
  return words;
}

/** Walks through a list of keys of `width` words; `op` gets the map and each key in a scratch array. */
function walker<M>(keys: Int32Array, width: number, op: (map: M, key: Int32Array) => void): (map: M) => void {
  const key = new Int32Array(width);
  let at = 0;
  return (map) => {
    for (let i = 0; i < BATCH; i++) {
      for (let k = 0; k < width; k++) key[k] = keys[at + k];
      at += width;
      if (at === keys.length) at = 0;
      op(map, key);
    }
  };
}

function filled<M extends TupleMap>(map: M, keys: Int32Array): M {
  const value = new Int32Array(14);
  for (let at = 0; at < keys.length; at += 4) map.update(keys.subarray(at, at + 4), value, 0);
  return map;
}

/** Results of the operations, so that the compiler cannot drop the work. */
let sink = 0;
export function benchSink(): number {
  return sink;
}

/** The map that the running case works on. Only one is held: a full one has 50 MB and more. */
let held: { readonly id: string; readonly map: TupleMap | LpmTrie } | undefined;

/** The map called `id`, made if it is not the one held. */
function hold<M extends TupleMap | LpmTrie>(id: string, make: () => M): M {
  if (held?.id !== id) {
    held = undefined;
    held = { id, map: make() };
  }
  return held.map as M;
}

function tupleCases(group: string, make: () => TupleMap, real: Record<string, Costs> | null): BenchCase[] {
  const out: BenchCase[] = [];
  FILLS.forEach((n, f) => {
    const add = (name: string, run: () => void) => {
      const ns = real?.[name]?.[f];
      const full = `${name}, ${n.toLocaleString("en-US")} entries`;
      out.push({
        group,
        name: full,
        batch: BATCH,
        run,
        unit: "op",
        ...(ns === undefined ? {} : { realNs: ns }),
        ...(real === null ? { steady: false } : {}),
      });
    };
    const keys = tuples(n, 6);
    const value = new Int32Array(14);
    const shareId = `${group} ${n}`;
    const ownId = `${group} ${n} own`;
    // The cases that change nothing of what the map holds share one.
    const shared = () => hold(shareId, () => filled(make(), keys));
    const same = keys.slice(0, 4);
    add("look-up, same key", () => {
      const m = shared();
      for (let i = 0; i < BATCH; i++) sink ^= m.lookup(same);
    });
    const look = (m: TupleMap, k: Int32Array) => {
      sink ^= m.lookup(k);
    };
    const hit = walker(keys, 4, look);
    add("look-up, hit", () => hit(shared()));
    const miss = walker(tuples(n, 17), 4, look);
    add("look-up, miss", () => miss(shared()));
    const update = walker(keys, 4, (m: TupleMap, k) => {
      sink ^= m.update(k, value, 0);
    });
    add("update of an existing key", () => update(shared()));
    // New keys for ever: a counter in one word. The map fills and then evicts.
    let next = 0;
    const fresh = new Int32Array(4);
    add(group.startsWith("hash") ? "insert and delete of a new key" : "insert of a new key", () => {
      const m = hold(ownId, () => filled(make(), keys));
      for (let i = 0; i < BATCH; i++) {
        const x = next++ | 0;
        fresh[0] = Math.imul(x, 0x9e3779b1);
        fresh[1] = x;
        fresh[3] = 1;
        sink ^= m.update(fresh, value, 0);
        if (m instanceof HashMap) m.remove(fresh);
      }
    });
  });
  return out;
}

function ipcacheCases(): BenchCase[] {
  const real: Costs = [99, 479, 1024];
  return FILLS.map((n, f) => {
    const id = `ipcache ${n}`;
    const keys = tuples(n, 0);
    const key = new IpcacheKey();
    const make = () => {
      const map = new LpmTrie({ ...IPCACHE_SPEC, maxEntries: 1 << 20 });
      const value = new Int32Array(6);
      for (let at = 0; at < keys.length; at += 4) map.update(key.setIpv4(keys[at + 1]).words, value, 0);
      return map;
    };
    const look = walker(keys, 4, (map: LpmTrie, k) => {
      sink ^= map.lookup(key.setIpv4(k[1]).words);
    });
    return {
      group: "LPM, ipcache layout",
      name: `look-up, ${n.toLocaleString("en-US")} entries`,
      batch: BATCH,
      unit: "op",
      realNs: real[f],
      run: () => look(hold(id, make)),
    };
  });
}

/** Entry number `i` of a policy: four ports for each identity. */
function policyKey(key: PolicyKey, i: number): PolicyKey {
  return key.set(20000 + (i >>> 2), 1, 6, 0x5000 + ((i & 3) << 8));
}

function policyCases(): BenchCase[] {
  const real: Record<number, number> = { 10000: 85 };
  return [10, 100, 1000, 10_000].map((n) => {
    const id = `policy ${n}`;
    const key = new PolicyKey();
    const make = () => {
      const map = new LpmTrie(POLICY_SPEC);
      const value = new Int32Array(3);
      for (let i = 0; i < n; i++) map.update(policyKey(key, i).words, value, 0);
      // As in a real policy: something allowed by protocol and something by identity alone.
      for (const len of [40, 48]) {
        key.set(1, 1, 6, 0).prefixlen = len;
        map.update(key.words, value, 0);
      }
      return map;
    };
    const order = Int32Array.from({ length: n }, (_, i) => (i * 7919) % n);
    const look = walker(order, 1, (map: LpmTrie, k) => {
      sink ^= map.lookup(policyKey(key, k[0]).words);
    });
    return {
      group: "LPM, policy layout (identities × ports, one protocol and one identity entry)",
      name: `look-up, ${n.toLocaleString("en-US")} entries`,
      batch: BATCH,
      unit: "op",
      ...(real[n] === undefined ? {} : { realNs: real[n] }),
      run: () => look(hold(id, make)),
    };
  });
}

function ringCases(): BenchCase[] {
  const ring = new PerfEventArray("cilium_events", new VirtualClock(), 1);
  const header = new Uint8Array(64);
  const packet = new Uint8Array(2048);
  return [54, 128].map((len) => ({
    group: "perf event array",
    name: `trace event with ${len} packet bytes`,
    batch: BATCH,
    unit: "event",
    run: () => {
      ring.enabled = true;
      for (let i = 0; i < BATCH; i++) {
        sink ^= ring.output(0, header, 56, packet, 192, len);
        // Emptied as a reader would, but without reading: 512 events fit into the ring.
        if ((i & 511) === 511) ring.discard();
      }
    },
  }));
}

/** Raw map operations. */
export const mapsBench: BenchSuite = {
  name: "maps",
  cases: () => [
    ...tupleCases("hash, 14-byte tuple, 56-byte entry", () => new HashMap(CT), {
      "look-up, same key": [32, 33, 34],
      "look-up, hit": [32, 235, 386],
      "look-up, miss": [20, 43, 272],
      "update of an existing key": [97, 226, 442],
      "insert and delete of a new key": [220, 254, 437],
    }),
    ...tupleCases("LRU (kernel's lists), 14-byte tuple, 56-byte entry", () => new LruHashMap(LRU), {
      "look-up, same key": [33, 32, 31],
      "look-up, hit": [32, 182, 391],
      "update of an existing key": [242, 628, 892],
      "insert of a new key": [537, 571, 718],
    }),
    ...tupleCases("LRU (strict)", () => new LruHashMap({ ...LRU, lru: "strict" }), {}),
    ...tupleCases("LRU (lru-cache back end)", () => new LruCacheMap(LRU), null),
    ...ipcacheCases(),
    ...policyCases(),
    ...ringCases(),
  ],
};
