import { describe, expect, it } from "vitest";
import { ipvsadm } from "../../../../src/kernel/ipvs/ipvsadm.js";
import { RouterLab } from "../../../support/netfilter_lab.js";

const SAVED = `-A -t 10.0.9.9:80 -s rr
-a -t 10.0.9.9:80 -r 10.5.0.1:8080 -m -w 3
-a -t 10.0.9.9:80 -r 10.5.0.2:8080 -m -w 1
-A -u 10.0.9.9:53 -s sh -p 10800
-A -f 5 -s wlc
`;

function restored(): RouterLab {
  const l = new RouterLab();
  expect(ipvsadm(l.node, ["-R"], SAVED)).toEqual({ rc: 0, out: "" });
  return l;
}

const adm = (l: RouterLab, c: string) => ipvsadm(l.node, c.split(" "));

describe("ipvsadm", () => {
  it("saves what it restored", () => {
    expect(adm(restored(), "-Sn")).toEqual({ rc: 0, out: SAVED });
  });

  it("lists TCP before UDP before marks, destinations by address, with the columns of version 1.31", () => {
    expect(adm(restored(), "-ln").out).toBe(
      [
        "IP Virtual Server version 1.2.1 (size=4096)",
        "Prot LocalAddress:Port Scheduler Flags",
        "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
        "TCP  10.0.9.9:80 rr",
        "  -> 10.5.0.1:8080                Masq    3      0          0         ",
        "  -> 10.5.0.2:8080                Masq    1      0          0         ",
        "UDP  10.0.9.9:53 sh persistent 10800",
        "FWM  5 wlc",
        "",
      ].join("\n"),
    );
  });

  it("lists one service when one is named", () => {
    expect(adm(restored(), "-Ln -u 10.0.9.9:53").out.split("\n").slice(3)).toEqual([
      "UDP  10.0.9.9:53 sh persistent 10800",
      "",
    ]);
    expect(adm(restored(), "-Ln -u 10.0.9.9:54")).toEqual({ rc: 1, out: "No such service\n" });
  });

  it("counts connections, packets and bytes of services and destinations", () => {
    const l = restored();
    l.tcp(l.a, "10.0.0.2", 4000, "10.0.9.9", 80, "S", 100);
    l.tcp(l.b, "10.5.0.2", 8080, "10.0.0.2", 4000, "SA", 500, 101);
    const stats = () => adm(l, "-ln --stats").out.split("\n").slice(1, 6);
    expect(stats()).toEqual([
      "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes",
      "  -> RemoteAddress:Port",
      "TCP  10.0.9.9:80                         1        1        1       40       40",
      "  -> 10.5.0.1:8080                       0        0        0        0        0",
      "  -> 10.5.0.2:8080                       1        1        1       40       40",
    ]);
    adm(l, "-Z");
    expect(stats()[2]).toBe("TCP  10.0.9.9:80                         0        0        0        0        0");
  });

  it.each([
    ["-A -t 10.0.9.9:80", 255, "Service already exists"],
    ["-a -t 1.1.1.1:1 -r 2.2.2.2:2 -m", 255, "Service not defined"],
    ["-a -t 10.0.9.9:80 -r 10.5.0.1:8080 -m", 255, "Destination already exists"],
    ["-a -t 10.0.9.9:80 -r 2.2.2.2:2", 255, "forwarding method direct is not modelled; use -m"],
    ["-d -t 10.0.9.9:80 -r 9.9.9.9:1", 255, "No such destination"],
    ["-D -t 1.1.1.1:1", 255, "No such service"],
    ["-A -t 10.0.9.9:81 -s foo", 255, "No such file or directory"],
    ["-q", 2, 'unknown option "-q"'],
  ])("answers %s with status %i", (command, rc, out) => {
    expect(adm(restored(), command)).toEqual({ rc, out: `${out}\n` });
  });

  it("edits services and destinations and clears everything", () => {
    const l = restored();
    adm(l, "-E -t 10.0.9.9:80 -s wrr -p");
    adm(l, "-e -t 10.0.9.9:80 -r 10.5.0.1:8080 -m -w 9 -x 100 -y 50");
    expect(adm(l, "-ln -t 10.0.9.9:80").out.split("\n")[3]).toBe("TCP  10.0.9.9:80 wrr persistent 360");
    expect(adm(l, "-ln --thresholds -t 10.0.9.9:80").out.split("\n").slice(1, 5)).toEqual([
      "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn ",
      "  -> RemoteAddress:Port",
      "TCP  10.0.9.9:80                 ",
      "  -> 10.5.0.1:8080                100        50         0          0         ",
    ]);
    adm(l, "-C");
    expect(adm(l, "-Sn").out).toBe("");
  });

  it("stops new connections at the upper threshold until the lower one is reached", () => {
    const l = restored();
    adm(l, "-d -t 10.0.9.9:80 -r 10.5.0.2:8080");
    adm(l, "-e -t 10.0.9.9:80 -r 10.5.0.1:8080 -m -w 1 -x 2 -y 1");
    const syn = (p: number) => l.tcp(l.a, "10.0.0.2", p, "10.0.9.9", 80, "S", 100)[0]!.split(":")[0];
    expect([syn(1), syn(2), syn(3)]).toEqual(["b", "b", "a"]);
    l.wait(30);
    expect(syn(4)).toBe("a");
    l.wait(31);
    expect(syn(5)).toBe("b");
  });
});
