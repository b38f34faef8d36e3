// Walks: what is read from the snapshots of packets.
import { describe, expect, it } from "vitest";
import { ttlOf } from "../../../src/walk/walk.js";

const ipv4 = (ttl: number, total: number): Uint8Array => {
  const f = new Uint8Array(28);
  f.set([0x45, 0, total >> 8, total & 0xff, 0, 0, 0, 0, ttl, 17]);
  return f;
};

describe("ttlOf", () => {
  it("reads TTL and hop limit at the start of a packet", () => {
    const six = new Uint8Array(48);
    six.set([0x60, 0, 0, 0, 0, 8, 17, 61]);
    expect([ttlOf(ipv4(63, 28), 28), ttlOf(ipv4(64, 1500), 1500), ttlOf(six, 48)]).toEqual([63, 64, 61]);
  });

  it("reads a header whose length is not filled in yet", () => {
    expect(ttlOf(ipv4(64, 0), 28)).toBe(64);
  });

  it("does not take payload or ports for a header where a socket got the packet", () => {
    // 0x61 looks like version 6 with hop limit 97, source port 17743 like version 4.
    const tcp = new Uint8Array(40);
    tcp.set([0x45, 0x4f, 0x1f, 0x90, 0, 0, 0, 1, 0x59]);
    expect([ttlOf(new Uint8Array(64).fill(0x61), 64), ttlOf(tcp, 40)]).toEqual([undefined, undefined]);
  });

  it("reads behind an Ethernet header, whatever the length", () => {
    const frame = new Uint8Array(60);
    frame.set([8, 0], 12);
    frame.set(ipv4(62, 28), 14);
    expect([ttlOf(frame, 60), ttlOf(frame)]).toEqual([62, 62]);
  });
});
