import { describe, expect, it } from "vitest";
import {
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT2,
  TCP_TIME_WAIT,
  TcpSock,
} from "../../../src/kernel/tcp.js";
import { parseIpv4 } from "../../../src/net/address.js";
import { KernelNet, type TextTap } from "../../support/kernel_net.js";

function pair(net: KernelNet): { c: TcpSock; l: TcpSock } {
  const l = new TcpSock(net.ns("p2"));
  l.bind(0, 80);
  l.listen(4);
  const c = new TcpSock(net.ns("p1"));
  c.bind(0, 40000);
  c.connect(parseIpv4("10.0.0.2"), 80);
  net.ms(1);
  return { c, l };
}

/** Direction, flags, relative numbers, options and length of the TCP segments a tap saw. */
const segments = (t: TextTap): string[] =>
  t.lines
    .filter((l) => l.includes(" tcp "))
    .map((l) =>
      l.replace(
        /^(.) .* ttl=(\d+) .* tcp \S+ (\S+) seq=(\S+) ack=(\S+) .*(\[.*\]) (\d+):.*$/,
        "$1 $3 seq$4 ack$5 $6 $7",
      ),
    );

describe("TCP endpoints", () => {
  it("open, exchange and close as Linux does: options, PSH, delayed acknowledgement of the FIN", () => {
    const net = new KernelNet();
    const tap = net.tap("p1", "eth0");
    const { c, l } = pair(net);
    const s = l.accept()!;
    expect([c.state, s.state]).toEqual([TCP_ESTABLISHED, TCP_ESTABLISHED]);
    c.send(new Uint8Array(10));
    net.ms(100);
    expect(s.recv(100).length).toBe(10);
    s.send(new Uint8Array(3000));
    net.ms(100);
    expect(c.recv(5000).length).toBe(3000);
    c.shutdown();
    net.ms(10);
    expect([c.state, s.state]).toEqual([4, TCP_CLOSE_WAIT]);
    net.ms(60);
    expect(c.state).toBe(TCP_FIN_WAIT2);
    s.close();
    net.ms(10);
    expect([c.state, s.state]).toEqual([TCP_TIME_WAIT, TCP_CLOSE]);
    expect(segments(tap)).toEqual([
      "> S seq+0 ack- [2:05b4 4: ts nop ws] 0",
      "< SA seq+0 ack+1 [2:0550 4: ts nop ws] 0",
      "> A seq+1 ack+1 [nop nop ts] 0",
      "> PA seq+1 ack+1 [nop nop ts] 10",
      "< A seq+1 ack+11 [nop nop ts] 0",
      "< A seq+1 ack+11 [nop nop ts] 1348",
      "> A seq+11 ack+1349 [nop nop ts] 0",
      "< A seq+1349 ack+11 [nop nop ts] 1348",
      "> A seq+11 ack+2697 [nop nop ts] 0",
      "< PA seq+2697 ack+11 [nop nop ts] 304",
      "> A seq+11 ack+3001 [nop nop ts] 0",
      "> FA seq+11 ack+3001 [nop nop ts] 0",
      "< A seq+3001 ack+12 [nop nop ts] 0",
      "< FA seq+3001 ack+12 [nop nop ts] 0",
      "> A seq+12 ack+3002 [nop nop ts] 0",
    ]);
    net.ms(61_000);
    expect(c.state).toBe(TCP_CLOSE);
  });

  it("are refused by a RST from a closed port", () => {
    const net = new KernelNet();
    const c = new TcpSock(net.ns("p1"));
    c.connect(parseIpv4("10.0.0.2"), 81);
    net.ms(1);
    expect({ err: c.takeError(), connected: c.connected }).toEqual({ err: 111, connected: false });
  });

  it("repeat the SYN once a second, five times, then with doubling pauses", () => {
    const net = new KernelNet();
    net.ping("p1", "10.0.0.2");
    const tap = net.tap("p1", "eth0");
    const c = new TcpSock(net.ns("p1"));
    c.connect(parseIpv4("10.5.0.1"), 81);
    const seen: number[] = [];
    for (let s = 0; s < 16; s++) {
      net.ms(1000);
      seen.push(tap.lines.filter((x) => x.includes(" S seq")).length);
    }
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7]);
  });

  it("resend lost data after the retransmission timeout", () => {
    const net = new KernelNet();
    const { c, l } = pair(net);
    const s = l.accept()!;
    net.dev("p2", "eth0").flags &= ~1;
    c.send(Uint8Array.from([1, 2, 3]));
    net.ms(150);
    net.dev("p2", "eth0").flags |= 1;
    net.ms(20);
    expect(s.readable()).toBe(false);
    net.ms(300);
    expect([...s.recv(10)]).toEqual([1, 2, 3]);
  });

  it("tell the other side by RST when a socket is closed with data unread", () => {
    const net = new KernelNet();
    const { c, l } = pair(net);
    const s = l.accept()!;
    c.send(new Uint8Array(5));
    net.ms(50);
    s.close();
    net.ms(1);
    expect([c.takeError(), c.state]).toEqual([104, TCP_CLOSE]);
  });
});
