// What `conntrack` of conntrack-tools 1.4.7 was seen to answer on a Linux 6.18.

import { describe, expect, it } from "vitest";
import { conntrack } from "../../../../src/kernel/netfilter/conntrack_cli.js";
import { RouterLab } from "../../../support/netfilter_lab.js";

const V = "conntrack v1.4.7 (conntrack-tools): ";
const DNS =
  "udp      17 30 src=10.4.0.5 dst=10.96.0.10 sport=1000 dport=53 src=10.0.1.2 dst=10.0.1.1 sport=5353 dport=1000 mark=0 use=1\n";
const PLAIN =
  "udp      17 30 src=10.0.0.2 dst=10.0.1.2 sport=1001 dport=8 [UNREPLIED] src=10.0.1.2 dst=10.0.0.2 sport=8 dport=1001 mark=5 use=1\n";
const SYN =
  "tcp      6 120 SYN_SENT src=10.0.0.2 dst=10.0.1.2 sport=1002 dport=80 [UNREPLIED] src=10.0.1.2 dst=10.0.0.2 sport=80 dport=1002 mark=0 use=1\n";

function lab(): RouterLab {
  const l = new RouterLab(`*nat
-A PREROUTING -d 10.96.0.10/32 -p udp -j DNAT --to-destination 10.0.1.2:5353
-A POSTROUTING -s 10.4.0.0/16 -j MASQUERADE
COMMIT
*mangle
-A PREROUTING -p udp -m udp --dport 8 -j CONNMARK --set-mark 5
COMMIT
`);
  l.udp(l.a, "10.4.0.5", 1000, "10.96.0.10", 53);
  l.udp(l.b, "10.0.1.2", 5353, "10.0.1.1", 1000);
  l.udp(l.a, "10.0.0.2", 1001, "10.0.1.2", 8);
  l.tcp(l.a, "10.0.0.2", 1002, "10.0.1.2", 80, "S");
  l.events();
  return l;
}

const run = (l: RouterLab, args: string) => conntrack(l.node, args.split(" "));

describe("conntrack", () => {
  it.each([
    ["-L", SYN + PLAIN + DNS],
    ["-L -p udp", PLAIN + DNS],
    ["-L -p udp --dport 8", PLAIN],
    ["-L -p udp --orig-port-src=1000", DNS],
    ["-L -p udp --reply-port-src 5353", DNS],
    ["-L -s 10.4.0.0/16", DNS],
    ["-L -d 10.0.1.2", SYN + PLAIN],
    ["-L -r 10.0.1.2", SYN + PLAIN + DNS],
    ["-L -q 10.0.1.1", DNS],
    ["-L -m 5", PLAIN],
    ["-L -m 0/2", SYN + PLAIN + DNS],
    ["-L -u SEEN_REPLY", DNS],
    ["-L -u UNREPLIED", SYN + PLAIN],
    ["-L -g", DNS],
    ["-L -n 10.0.1.1", DNS],
    ["-L -g 1.2.3.4", ""],
    ["-L -p tcp --state SYN_SENT", SYN],
    ["-L -p tcp --state ESTABLISHED", ""],
    ["-L -w 3", ""],
    ["-L -f ipv6", ""],
    ["-L -p tcp -o extended", `ipv4     2 ${SYN}`],
  ])("lists with %s", (args, out) => {
    const n = out.split("\n").length - 1;
    expect(run(lab(), args)).toEqual({ rc: 0, out, err: `${V}${n} flow entries have been shown.\n` });
  });

  it("deletes what the filters pick and tells so", () => {
    const l = lab();
    expect(run(l, "-D -p udp --dport 53")).toEqual({
      rc: 0,
      out: DNS,
      err: `${V}1 flow entries have been deleted.\n`,
    });
    expect(l.events()).toEqual([
      "[DESTROY] udp      17 30 src=10.4.0.5 dst=10.96.0.10 sport=1000 dport=53 src=10.0.1.2 dst=10.0.1.1 sport=5353 dport=1000 [USERSPACE] portid=3000000000",
    ]);
    expect(run(l, "-D -p udp --dport 53")).toEqual({
      rc: 1,
      out: "",
      err: `${V}0 flow entries have been deleted.\n`,
    });
    expect(run(l, "-C")).toEqual({ rc: 0, out: "2\n", err: "" });
    expect(run(l, "-F").err).toBe(`${V}connection tracking table has been emptied.\n`);
    expect(run(l, "-C").out).toBe("0\n");
  });

  it("changes marks", () => {
    const l = lab();
    expect(run(l, "-U -p udp -m 3/0xf").err).toBe(`${V}2 flow entries have been updated.\n`);
    expect(l.events()).toHaveLength(2);
    expect(run(l, "-L -m 3").out.split("\n")).toHaveLength(3);
  });

  it("gets one entry or fails", () => {
    const l = lab();
    expect(run(l, "-G -p tcp -s 10.0.0.2 -d 10.0.1.2 --sport 1002 --dport 80").out).toBe(
      SYN.replace("use=1", "use=2"),
    );
    expect(run(l, "-G -p tcp --dport 81")).toEqual({
      rc: 1,
      out: "",
      err: `${V}Operation failed: such conntrack doesn't exist\n`,
    });
  });

  it.each([
    ["-Q", "unknown option `-Q'"],
    ["-L foo", "unknown type `foo'"],
    ["-L --sport 7", "unknown option `--sport'"],
    ["-L -p foo", "`foo' unsupported protocol"],
    ["-L -s foo", "Invalid IP address `foo'"],
  ])("refuses %s", (args, why) => {
    expect(run(lab(), args)).toEqual({
      rc: 2,
      out: "",
      err: `${V}${why}\nTry \`conntrack -h' or 'conntrack --help' for more information.\n`,
    });
  });
});
