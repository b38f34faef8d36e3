import { describe, expect, it } from "vitest";
import { explainFlow } from "../../../src/walk/explain.js";
import { flowText, parseFlow, traceFlow } from "../../../src/walk/flow.js";
import { dualLab } from "../../support/dual_lab.js";

const SERVICE = `---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: c}, clusterIP: "fd00:96::10", ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec: {selector: {app: none}, clusterIP: "fd00:96::11", ports: [{port: 80}]}
`;

describe("flows over IPv6", () => {
  it("are written with brackets where there is a port", () => {
    const texts = ["pod/a -> fd00:1::99/icmp", "pod/a -> [fd00:96::10]:80/tcp", "pod/a -> [::1]:53/udp"];
    expect(texts.map((t) => flowText(parseFlow(t)))).toEqual(texts);
    expect(parseFlow("pod/a -> [fd00:96::10]:80")).toEqual({
      from: "pod/a",
      to: "fd00:96::10",
      port: 80,
      protocol: "tcp",
    });
    expect(() => parseFlow("pod/a -> fd00:96::10:80/tcp")).toThrow("TCP needs a port");
  });

  it("have echo request and reply traced like others", () => {
    const lab = dualLab({ datapath: "cilium-host-routing" });
    const t = traceFlow(lab, parseFlow("pod/a -> fd00:11::21/icmp"));
    expect([t.request, t.reply].map((w) => w?.steps[0]?.where)).toEqual(["pod/default/a", "pod/default/c"]);
  });

  it("are explained: the backend that was chosen, the service without any, the missing route and neighbour", () => {
    const lab = dualLab({ datapath: "cilium-legacy" }, SERVICE);
    const explain = (to: string) => explainFlow(lab, parseFlow(`pod/a -> ${to}`));
    expect(explain("[fd00:96::10]:80/tcp").decisions[0]?.what).toBe(
      "Service default/web (fd00:96::10) chose backend fd00:11::21",
    );
    expect(explain("[fd00:96::11]:80/tcp").kind).toBe("no-backend");
    const noRoute = explain("fd77::1/icmp");
    expect([noRoute.kind, noRoute.change]).toEqual([
      "no-route",
      "on n1: ip -6 route add fd77::1/128 via GATEWAY; nobody in the lab has that address",
    ]);
    const nobody = explain("fd00:1::77/icmp");
    expect([nobody.kind, nobody.verdict]).toEqual([
      "no-neighbour",
      "n1 asked for the MAC of fd00:1::77 on eth0 three times, and nobody answered",
    ]);
    expect(nobody.candidates.map((c) => c.what)).toEqual(["fd00:1::/64 dev eth0 metric 256"]);
  });
});
