import { describe, expect, it } from "vitest";
import { type CiliumMaps, createCiliumMaps } from "../../../maps/cilium_maps.js";
import { CT_F_DSR_INTERNAL, CtEntry, CtTuple4, CtTuple6 } from "../../../maps/ct.js";
import {
  CT_GC_MAX_INTERVAL,
  CT_GC_MIN_INTERVAL,
  CT_GC_STARTING_INTERVAL,
  CtGc,
  type CtGcFamily,
  gcConntrack,
  nextGcInterval,
  purgeOrphanNat,
} from "../../../maps/ct_gc.js";
import { NatEntry4, NatEntry6 } from "../../../maps/nat.js";
import { NS_PER_SEC, TimerQueue, VirtualClock } from "../../../src/base/clock.js";
import { htons, parseIpv4, parseIpv6 } from "../../../src/net/address.js";

const POD = "10.0.0.85";
const WORLD = "203.0.113.5";
const NODE = "192.168.0.120";
const MINUTE = 60 * NS_PER_SEC;

function newMaps(): CiliumMaps {
  return createCiliumMaps({
    clock: new VirtualClock(),
    sizes: { cilium_ct4_global: 100, cilium_ct_any4_global: 100 },
  });
}
function familyOf(maps: CiliumMaps): CtGcFamily {
  return { tcp: maps.cilium_ct4_global, any: maps.cilium_ct_any4_global, nat: maps.cilium_snat_v4_external };
}

/** Key with the fields as they are stored. */
function key(
  daddr: string,
  saddr: string,
  dport: number,
  sport: number,
  flags: number,
  proto = 6,
): Int32Array {
  const t = new CtTuple4();
  t.daddr = parseIpv4(daddr);
  t.saddr = parseIpv4(saddr);
  t.dport = htons(dport);
  t.sport = htons(sport);
  t.nexthdr = proto;
  t.flags = flags;
  return t.words;
}

/** Conntrack entry of a connection client:cp -> server:sp, seen in direction `flags`. */
function addCt(
  maps: CiliumMaps,
  client: string,
  cp: number,
  server: string,
  sp: number,
  flags: number,
  lifetime: number,
  proto = 6,
  bits = 0,
): void {
  const e = new CtEntry();
  e.lifetime = lifetime;
  e.flags = bits;
  const map = proto === 6 ? maps.cilium_ct4_global : maps.cilium_ct_any4_global;
  expect(map.update(key(client, server, sp, cp, flags, proto), e.words, 0)).toBe(0);
}

/** Masquerading of POD:cp -> WORLD:sp to NODE:np: forward and reverse entry. */
function addSnat(maps: CiliumMaps, cp: number, sp: number, np: number, proto = 6): void {
  const nat = maps.cilium_snat_v4_external;
  nat.update(
    key(WORLD, POD, sp, cp, 0, proto),
    new NatEntry4().set(1, 0, parseIpv4(NODE), htons(np)).words,
    0,
  );
  nat.update(
    key(NODE, WORLD, np, sp, 1, proto),
    new NatEntry4().set(1, 0, parseIpv4(POD), htons(cp)).words,
    0,
  );
}

describe("gcConntrack", () => {
  it("removes entries whose lifetime is below now and keeps those that end now", () => {
    const maps = newMaps();
    for (const [port, lifetime] of [
      [1, 99],
      [2, 100],
      [3, 101],
    ]) {
      addCt(maps, POD, port, WORLD, 80, 0, lifetime);
    }
    expect(gcConntrack(maps.cilium_ct4_global, null, 100)).toEqual({ deleted: 1, alive: 2, natDeleted: 0 });
    expect(maps.cilium_ct4_global.size).toBe(2);
    expect(maps.cilium_ct4_global.peek(key(POD, WORLD, 80, 1, 0))).toBe(-1);
  });

  it("compares lifetimes as unsigned numbers", () => {
    const maps = newMaps();
    addCt(maps, POD, 1, WORLD, 80, 0, 0xf0000000 | 0);
    addCt(maps, POD, 2, WORLD, 80, 0, 5);
    expect(gcConntrack(maps.cilium_ct4_global, null, 0xefffffff)).toEqual({
      deleted: 1,
      alive: 1,
      natDeleted: 0,
    });
  });

  it("takes both NAT entries of a masqueraded connection along and leaves those of others", () => {
    const maps = newMaps();
    addCt(maps, POD, 1000, WORLD, 443, 0, 50);
    addSnat(maps, 1000, 443, 40000);
    addCt(maps, POD, 1001, WORLD, 443, 0, 500);
    addSnat(maps, 1001, 443, 40001);
    expect(gcConntrack(maps.cilium_ct4_global, maps.cilium_snat_v4_external, 100)).toEqual({
      deleted: 1,
      alive: 1,
      natDeleted: 2,
    });
    expect(maps.cilium_snat_v4_external.peek(key(WORLD, POD, 443, 1001, 0))).toBeGreaterThanOrEqual(0);
    expect(maps.cilium_snat_v4_external.peek(key(NODE, WORLD, 40001, 443, 1))).toBeGreaterThanOrEqual(0);
    expect(maps.cilium_snat_v4_external.size).toBe(2);
  });

  it("removes a forward NAT entry whose reverse half was evicted before", () => {
    const maps = newMaps();
    addCt(maps, POD, 1000, WORLD, 443, 0, 50);
    addSnat(maps, 1000, 443, 40000);
    maps.cilium_snat_v4_external.remove(key(NODE, WORLD, 40000, 443, 1));
    expect(gcConntrack(maps.cilium_ct4_global, maps.cilium_snat_v4_external, 100).natDeleted).toBe(1);
    expect(maps.cilium_snat_v4_external.size).toBe(0);
  });

  it("leaves NAT alone for entries of ingress, related and service connections", () => {
    const maps = newMaps();
    for (const flags of [1, 2, 3, 4]) addCt(maps, POD, 1000, WORLD, 443, flags, 50);
    addSnat(maps, 1000, 443, 40000);
    expect(gcConntrack(maps.cilium_ct4_global, maps.cilium_snat_v4_external, 100)).toEqual({
      deleted: 4,
      alive: 0,
      natDeleted: 0,
    });
  });

  it("removes the reply mapping of a DSR connection", () => {
    const maps = newMaps();
    // Client WORLD:5000 reached the backend POD:8080 by DSR; the reply POD:8080 -> WORLD:5000 leaves as NODE:31080.
    addCt(maps, WORLD, 5000, POD, 8080, 0, 50, 6, CT_F_DSR_INTERNAL);
    maps.cilium_snat_v4_external.update(
      key(WORLD, POD, 5000, 8080, 0),
      new NatEntry4().set(1, 0, parseIpv4(NODE), htons(31080)).words,
      0,
    );
    expect(gcConntrack(maps.cilium_ct4_global, maps.cilium_snat_v4_external, 100).natDeleted).toBe(1);
    expect(maps.cilium_snat_v4_external.size).toBe(0);
  });

  it("treats IPv6 alike", () => {
    const maps = newMaps();
    const [pod, world, node] = ["fd00::a", "2001:db8::5", "fd00::1"].map(
      (a) => new DataView(parseIpv6(a).slice().buffer),
    );
    const key6 = (daddr: DataView, saddr: DataView, dport: number, sport: number, flags: number) => {
      const t = new CtTuple6();
      t.setDaddr(daddr, 0);
      t.setSaddr(saddr, 0);
      t.dport = htons(dport);
      t.sport = htons(sport);
      t.nexthdr = 17;
      t.flags = flags;
      return t.words;
    };
    const e = new CtEntry();
    e.lifetime = 50;
    maps.cilium_ct_any6_global.update(key6(pod, world, 53, 1000, 0), e.words, 0);
    const nat = maps.cilium_snat_v6_external;
    nat.update(
      key6(world, pod, 53, 1000, 0),
      new NatEntry6().set(1, 0, htons(40000)).setToAddr(node, 0).words,
      0,
    );
    nat.update(
      key6(node, world, 40000, 53, 1),
      new NatEntry6().set(1, 0, htons(1000)).setToAddr(pod, 0).words,
      0,
    );
    expect(purgeOrphanNat(maps.cilium_ct6_global, maps.cilium_ct_any6_global, nat)).toEqual({
      ingressAlive: 1,
      ingressDeleted: 0,
      egressAlive: 1,
      egressDeleted: 0,
    });
    expect(gcConntrack(maps.cilium_ct_any6_global, nat, 100)).toEqual({
      deleted: 1,
      alive: 0,
      natDeleted: 2,
    });
    expect(nat.size).toBe(0);
  });
});

describe("purgeOrphanNat", () => {
  it("removes NAT entries whose conntrack entry is gone and keeps the others, by protocol", () => {
    const maps = newMaps();
    addCt(maps, POD, 1000, WORLD, 443, 0, 50);
    addSnat(maps, 1000, 443, 40000);
    addSnat(maps, 1001, 443, 40001); // no conntrack entry
    addCt(maps, POD, 1002, WORLD, 53, 0, 50, 17);
    addSnat(maps, 1002, 53, 40002, 17);
    addSnat(maps, 1003, 53, 40003, 17); // only a TCP entry of the same numbers
    addCt(maps, POD, 1003, WORLD, 53, 0, 50, 6);
    expect(
      purgeOrphanNat(maps.cilium_ct4_global, maps.cilium_ct_any4_global, maps.cilium_snat_v4_external),
    ).toEqual({ ingressAlive: 2, ingressDeleted: 2, egressAlive: 2, egressDeleted: 2 });
    expect(maps.cilium_snat_v4_external.size).toBe(4);
  });

  it("keeps the reply mapping of a DSR connection, but not for an entry without the DSR bit", () => {
    for (const [bits, egressAlive] of [
      [CT_F_DSR_INTERNAL, 1],
      [0, 0],
    ]) {
      const maps = newMaps();
      addCt(maps, WORLD, 5000, POD, 8080, 0, 50, 6, bits);
      maps.cilium_snat_v4_external.update(key(WORLD, POD, 5000, 8080, 0), new NatEntry4().words, 0);
      const stats = purgeOrphanNat(
        maps.cilium_ct4_global,
        maps.cilium_ct_any4_global,
        maps.cilium_snat_v4_external,
      );
      expect([stats.egressAlive, stats.egressDeleted]).toEqual([egressAlive, 1 - egressAlive]);
    }
  });
});

describe("nextGcInterval", () => {
  const s = (n: number) => n * NS_PER_SEC;

  it("starts at five minutes and stays there while nothing is removed", () => {
    expect(nextGcInterval(0, 0, 0)).toBe(CT_GC_STARTING_INTERVAL);
    expect(nextGcInterval(s(450), s(450), 0)).toBe(s(450));
  });

  it("grows by half when less than 5 % was removed, up to 12 hours", () => {
    expect(nextGcInterval(s(300), s(300), 0.01)).toBe(s(450));
    expect(nextGcInterval(s(301), s(301), 0.049)).toBe(s(452));
    expect(nextGcInterval(s(40000), s(40000), 0.01)).toBe(CT_GC_MAX_INTERVAL);
  });

  it("stays when 5 % to 25 % was removed", () => {
    expect(nextGcInterval(s(300), s(300), 0.05)).toBe(s(300));
    expect(nextGcInterval(s(300), s(300), 0.25)).toBe(s(300));
  });

  it("shrinks in proportion when more was removed, at most tenfold and not below 10 s", () => {
    expect(nextGcInterval(s(300), s(300), 0.5)).toBe(s(150));
    expect(nextGcInterval(s(300), s(300), 1)).toBe(s(30));
    expect(nextGcInterval(s(30), s(30), 0.9)).toBe(CT_GC_MIN_INTERVAL);
  });

  it("scales the share up when the run came early", () => {
    expect(nextGcInterval(s(300), s(100), 0.2)).toBe(s(120));
    expect(nextGcInterval(s(300), 0, 0.2)).toBe(s(300));
    expect(nextGcInterval(s(300), s(600), 0.2)).toBe(s(300));
  });
});

describe("CtGc", () => {
  function collector(
    maps: CiliumMaps,
    clock: VirtualClock,
    options: { interval?: number; maxInterval?: number } = {},
  ) {
    return new CtGc({ ipv4: familyOf(maps), ipv6: null, now: () => clock.sec, ...options });
  }

  it("runs at the start, after five minutes and then by what it removed", () => {
    const maps = newMaps();
    const timers = new TimerQueue(new VirtualClock());
    const gc = collector(maps, timers.clock);
    for (let port = 1; port <= 60; port++) addCt(maps, POD, port, WORLD, 80, 0, 200);
    addCt(maps, POD, 1000, WORLD, 80, 0, 8000);
    gc.start(timers);
    timers.runUntil(299 * NS_PER_SEC);
    expect(maps.cilium_ct4_global.size).toBe(61);
    timers.runUntil(300 * NS_PER_SEC);
    expect(maps.cilium_ct4_global.size).toBe(1);
    // 60 of 100 places were freed: the next run comes after 40 % of five minutes.
    expect(timers.nextDue()).toBe(420 * NS_PER_SEC);
    timers.runUntil(3 * 3600 * NS_PER_SEC);
    expect(maps.cilium_ct4_global.size).toBe(0);
  });

  it("runs at once when NAT fills up and then also removes orphans", () => {
    const maps = newMaps();
    const timers = new TimerQueue(new VirtualClock());
    const gc = collector(maps, timers.clock);
    expect(gc.signal(false)).toBe(null);
    gc.start(timers);
    addSnat(maps, 1000, 443, 40000);
    timers.runUntil(1 * MINUTE);
    const run = gc.signal(false)!;
    expect(run.orphans).toEqual([{ ingressAlive: 0, ingressDeleted: 1, egressAlive: 0, egressDeleted: 1 }]);
    expect([maps.cilium_snat_v4_external.size, run.deleted, run.alive]).toEqual([0, 0, 0]);
    expect([run.interval, timers.pending]).toEqual([CT_GC_STARTING_INTERVAL, 1]);
    timers.runUntil(7 * MINUTE);
    addSnat(maps, 1000, 443, 40000);
    timers.runUntil(3600 * NS_PER_SEC);
    // Orphans wait for the next signal; a run by the clock leaves them.
    expect(maps.cilium_snat_v4_external.size).toBe(2);
  });

  it("does not put off the other family's run by a signal of one", () => {
    const maps = newMaps();
    const timers = new TimerQueue(new VirtualClock());
    const family6 = { tcp: maps.cilium_ct6_global, any: maps.cilium_ct_any6_global, nat: null };
    const gc = new CtGc({ ipv4: familyOf(maps), ipv6: family6, now: () => timers.clock.sec });
    gc.start(timers);
    timers.runUntil(4 * MINUTE);
    expect(gc.signal(false)!.interval).toBe(1 * MINUTE);
    expect(timers.nextDue()).toBe(5 * MINUTE);
  });

  it("keeps to a fixed interval and to a maximum", () => {
    const maps = newMaps();
    const fixed = collector(maps, new VirtualClock(), { interval: 7 * NS_PER_SEC });
    expect(fixed.run(0).interval).toBe(7 * NS_PER_SEC);
    const bounded = collector(maps, new VirtualClock(), { maxInterval: 20 * NS_PER_SEC });
    expect(bounded.run(0).interval).toBe(20 * NS_PER_SEC);
  });

  it("runs no more after stop", () => {
    const maps = newMaps();
    const timers = new TimerQueue(new VirtualClock());
    const gc = collector(maps, timers.clock);
    gc.start(timers);
    gc.stop();
    expect([timers.pending, gc.signal(false)]).toEqual([0, null]);
  });
});
