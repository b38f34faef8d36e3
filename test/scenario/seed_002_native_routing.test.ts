// Seed 002 (Cilium native routing with BPF host routing): the published monitor trace of node 2 for one ping.
import { describe, expect, it } from "vitest";
import { MonitorFormatter } from "../../monitor/format.js";
import { Lab } from "../../src/lab.js";
import { EMBEDDED } from "../../src/scenario/embedded/index.js";

/** The published lines, with single blanks as in the published copy (the real ones have tabs and two spaces). */
const PUBLISHED = `
CPU 03: MARK 0x0 FROM 1580 DEBUG: Conntrack lookup 1/2: src=10.0.0.85:3072 dst=10.0.1.124:0
CPU 03: MARK 0x0 FROM 1580 DEBUG: Conntrack lookup 2/2: nexthdr=1 flags=0
CPU 03: MARK 0x0 FROM 1580 DEBUG: CT verdict: New, revnat=0
CPU 03: MARK 0x0 FROM 1580 DEBUG: Conntrack create: proxy-port=0 revnat=0 src-identity=3352 lb=0.0.0.0
Ethernet {Contents=[..14..] Payload=[..86..] SrcMAC=ca:0e:fa:6c:0f:30 DstMAC=42:ef:f8:7a:9e:f7 EthernetType=IPv4 Length=0}
IPv4 {Contents=[..20..] Payload=[..64..] Version=4 IHL=5 TOS=0 Length=84 Id=45716 Flags=DF FragOffset=0 TTL=62 Protocol=ICMPv4 Checksum=29764 SrcIP=10.0.0.85 DstIP=10.0.1.124 Options=[] Padding=[]}
ICMPv4 {Contents=[..8..] Payload=[..56..] TypeCode=EchoRequest Checksum=* Id=3072 Seq=0}
Failed to decode layer: No decoder for layer type Payload
CPU 03: MARK 0x0 FROM 1580 to-endpoint: 98 bytes (98 captured), state new, interface lxc5f949d4fd7fa, , identity 3352->3352, orig-ip 10.0.0.85, to endpoint 1580
CPU 03: MARK 0x0 FROM 1580 DEBUG: Conntrack lookup 1/2: src=10.0.1.124:0 dst=10.0.0.85:3072
CPU 03: MARK 0x0 FROM 1580 DEBUG: Conntrack lookup 2/2: nexthdr=1 flags=1
CPU 03: MARK 0x0 FROM 1580 DEBUG: CT entry found lifetime=16836113, revnat=0
CPU 03: MARK 0x0 FROM 1580 DEBUG: CT verdict: Reply, revnat=0
CPU 03: MARK 0x0 FROM 1580 DEBUG: Successfully mapped addr=10.0.0.85 to identity=3352
------------------------------------------------------------------------------
Ethernet {Contents=[..14..] Payload=[..86..] SrcMAC=00:0c:29:8f:2d:28 DstMAC=00:0c:29:79:54:d3 EthernetType=IPv4 Length=0}
IPv4 {Contents=[..20..] Payload=[..64..] Version=4 IHL=5 TOS=0 Length=84 Id=48973 Flags= FragOffset=0 TTL=63 Protocol=ICMPv4 Checksum=42635 SrcIP=10.0.1.124 DstIP=10.0.0.85 Options=[] Padding=[]}
ICMPv4 {Contents=[..8..] Payload=[..56..] TypeCode=EchoReply Checksum=* Id=3072 Seq=0}
Failed to decode layer: No decoder for layer type Payload
CPU 03: MARK 0x0 FROM 385 to-network: 98 bytes (98 captured), state new, orig-ip 0.0.0.0
------------------------------------------------------------------------------`
  .trim()
  .split("\n");

/** A line of ours as the published copy would have it: blanks squeezed, the unpublished ICMP checksum out. */
function asPublished(line: string): string {
  return line
    .replace(/\s+/g, " ")
    .trim()
    .replace(/^(ICMPv4 \{.* Checksum=)\d+/, "$1*");
}

function stream(profile: "1.11" | "1.19"): string {
  const lab = Lab.fromYaml(EMBEDDED.get("cilium-native-routing")!, "cilium-native-routing", { profile });
  const formatter = new MonitorFormatter({
    profile,
    verbosity: 2,
    ifnames: (ifindex) => lab.node("node-2").ifname(ifindex),
  });
  let text = "";
  lab.monitor("node-2", (s) => {
    text += formatter.format(s.cpu, s.bytes);
  });
  lab.run();
  return text;
}

describe("seed 002, node 2, release 1.11, -v -v", () => {
  it("prints every published line, in the published order", () => {
    const ours = stream("1.11").split("\n").map(asPublished);
    let at = 0;
    const missing: string[] = [];
    for (const line of PUBLISHED) {
      const found = ours.indexOf(line, at);
      if (found < 0) missing.push(line);
      else at = found + 1;
    }
    expect(missing).toEqual([]);
  });

  it("prints the same bytes in every run", () => {
    expect(stream("1.11")).toBe(stream("1.11"));
    expect(stream("1.19")).toBe(stream("1.19"));
  });
});
