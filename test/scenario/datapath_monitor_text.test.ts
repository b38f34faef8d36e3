// Datapath facts, 4(c).1: what `cilium monitor -v -v` prints on both nodes for one ping between them, and what is left
// of it at aggregation medium.
import { describe, expect, it } from "vitest";
import { MonitorFormatter } from "../../monitor/format.js";
import type { Lab } from "../../src/lab.js";
import { DEBUG, datapathLab, MEDIUM } from "../support/datapath_lab.js";
import { text } from "../support/event_trace.js";

/** The header lines of `-v -v` (packets and separators left out), without CPU and mark. */
function monitor(lab: Lab, node: string, action: () => void): string {
  const formatter = new MonitorFormatter({
    profile: "1.19",
    verbosity: 2,
    ifnames: (i) => lab.node(node).ifname(i),
  });
  let out = "";
  const stop = lab.monitor(node, (s) => {
    out += formatter.format(s.cpu, s.bytes);
  });
  action();
  stop();
  return out
    .split("\n")
    .filter((l) => l.includes(" FROM "))
    .map((l) => `${l.replace(/^CPU \d+: MARK 0x[0-9a-f]+ /, "").replace(/lifetime=\d+/, "lifetime=<abs>")}\n`)
    .join("");
}

function both(lab: Lab): [string, string] {
  let first = "";
  const second = monitor(lab, "n2", () => {
    first = monitor(lab, "n1", () => {
      lab.ping({ from: "pod/a", to: "pod/c", id: 3072 });
    });
  });
  return [first, second];
}

describe("one ping between nodes with BPF host routing", () => {
  it("prints the sequence of the facts on both nodes in the debug build", () => {
    const [n1, n2] = both(datapathLab({ datapath: "cilium-host-routing", options: DEBUG }));
    expect(n1).toBe(text`
      FROM 101 from-endpoint: 98 bytes (98 captured), state unknown, , identity 3001->unknown, orig-ip 0.0.0.0
      FROM 101 DEBUG: Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
      FROM 101 DEBUG: Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
      FROM 101 DEBUG: CT verdict: New, revnat=0
      FROM 101 DEBUG: Successfully mapped addr=10.0.1.21 to identity=3003
      FROM 101 DEBUG: Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
      FROM 101 to-network: 98 bytes (98 captured), state new, interface eth0, , identity 3001->3003, orig-ip 0.0.0.0
      FROM 901 to-network: 98 bytes (98 captured), state unknown, interface eth0, , identity 3001->unknown, orig-ip 0.0.0.0
      FROM 901 DEBUG: Successfully mapped addr=10.0.1.21 to identity=3003
      FROM 901 from-network: 98 bytes (98 captured), state unknown, interface eth0, , identity 3003->unknown, orig-ip 0.0.0.0
      FROM 901 DEBUG: Attempting local delivery for container id 101 from seclabel 3003
      FROM 101 DEBUG: Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
      FROM 101 DEBUG: Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
      FROM 101 DEBUG: CT entry found lifetime=<abs>, revnat=0
      FROM 101 DEBUG: CT verdict: Reply, revnat=0
      FROM 101 to-endpoint: 98 bytes (98 captured), state reply, interface lxc_a, , identity 3003->3001, orig-ip 10.0.1.21, to endpoint 101
    `);
    expect(n2).toBe(text`
      FROM 902 DEBUG: Successfully mapped addr=10.0.0.11 to identity=3001
      FROM 902 from-network: 98 bytes (98 captured), state unknown, interface eth0, , identity 3001->unknown, orig-ip 0.0.0.0
      FROM 902 DEBUG: Attempting local delivery for container id 103 from seclabel 3001
      FROM 103 DEBUG: Conntrack lookup 1/2: src=10.0.0.11:3072 dst=10.0.1.21:0
      FROM 103 DEBUG: Conntrack lookup 2/2: nexthdr=1 flags=0 dir=1 scope=2
      FROM 103 DEBUG: CT verdict: New, revnat=0
      FROM 103 DEBUG: Conntrack create: proxy-port=0 revnat=0 src-identity=3001 lb=0.0.0.0
      FROM 103 to-endpoint: 98 bytes (98 captured), state new, interface lxc_c, , identity 3001->3003, orig-ip 10.0.0.11, to endpoint 103
      FROM 103 from-endpoint: 98 bytes (98 captured), state unknown, , identity 3003->unknown, orig-ip 0.0.0.0
      FROM 103 DEBUG: Conntrack lookup 1/2: src=10.0.1.21:0 dst=10.0.0.11:3072
      FROM 103 DEBUG: Conntrack lookup 2/2: nexthdr=1 flags=1 dir=0 scope=2
      FROM 103 DEBUG: CT entry found lifetime=<abs>, revnat=0
      FROM 103 DEBUG: CT verdict: Reply, revnat=0
      FROM 103 DEBUG: Successfully mapped addr=10.0.0.11 to identity=3001
      FROM 103 to-network: 98 bytes (98 captured), state reply, interface eth0, , identity 3003->3001, orig-ip 0.0.0.0
      FROM 902 to-network: 98 bytes (98 captured), state unknown, interface eth0, , identity 3003->unknown, orig-ip 0.0.0.0
    `);
  });

  it("prints four lines at aggregation medium, nothing for a second ping within 5 s, and four lines after that", () => {
    const lab = datapathLab({ datapath: "cilium-host-routing", options: MEDIUM });
    const [n1, n2] = both(lab);
    expect(n1).toBe(text`
      FROM 101 to-network: 98 bytes (98 captured), state new, interface eth0, , identity 3001->3003, orig-ip 0.0.0.0
      FROM 101 to-endpoint: 98 bytes (98 captured), state reply, interface lxc_a, , identity 3003->3001, orig-ip 10.0.1.21, to endpoint 101
    `);
    expect(n2).toBe(text`
      FROM 103 to-endpoint: 98 bytes (98 captured), state new, interface lxc_c, , identity 3001->3003, orig-ip 10.0.0.11, to endpoint 103
      FROM 103 to-network: 98 bytes (98 captured), state reply, interface eth0, , identity 3003->3001, orig-ip 0.0.0.0
    `);
    lab.advance("2s");
    expect(both(lab)).toEqual(["", ""]);
    lab.advance("5s");
    const [again1, again2] = both(lab);
    expect(again1).toBe(n1.replace("state new", "state established"));
    expect(again2).toBe(n2.replace("state new", "state established"));
  });
});
