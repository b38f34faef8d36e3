import "../../src/vitest.js";
import { describe, expect, it } from "vitest";
import { assertWalk, isDelivered, isDropped } from "../../src/walk/checks.js";
import type { Walk } from "../../src/walk/walk.js";
import { twoNodeLab } from "../support/two_nodes.js";

const DENY = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-c}
spec: {podSelector: {matchLabels: {app: b}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: c}}}]}]}
`;

function request(to: string, policy = ""): Walk {
  const lab = twoNodeLab({ datapath: "cilium-host-routing" }, policy);
  lab.ping({ from: "pod/a", to });
  return lab.record(() => lab.udp({ from: "pod/a", to, port: 9000 }))[0]!;
}

describe("podpath/vitest", () => {
  it("asserts delivery, TTL, conntrack and what was met and bypassed", () => {
    const walk = request("pod/c");
    expect(walk).toBeDelivered();
    expect(walk).not.toBeDropped();
    expect(walk).toHaveTtl(62);
    expect(walk).toHaveConntrackVerdict("New");
    expect(walk).toHaveConntrackVerdict("New", "n2");
    expect(walk).not.toHaveConntrackVerdict("Reply");
    expect(walk).toHavePolicyVerdict("allow", "ingress");
    expect(walk).toTraverse("cil_from_netdev", "n2");
    expect(walk).toTraverse("lxc_a");
    expect(walk).toBypass("FORWARD");
    expect(walk).toMatchWalk(walk.toString());
  });

  it("asserts a drop by policy and its reason", () => {
    const walk = request("pod/b", DENY);
    expect(walk).toBeDropped();
    expect(walk).toHavePolicyVerdict("deny", "ingress");
    expect(walk).not.toBeDelivered();
  });

  it("shows the walk when a matcher fails", () => {
    const walk = request("pod/c");
    expect(() => expect(walk).toHaveTtl(63)).toThrow(
      `expected the packet to end with TTL 63; it ends with TTL 62\n\n${walk.toString()}`,
    );
    expect(() => expect(walk).toBypass("cil_from_container")).toThrow(
      "expected the packet to bypass cil_from_container",
    );
  });

  it("says so when it gets something else than a walk", () => {
    expect(() => expect(5).toBeDelivered()).toThrow("a matcher of podpath/vitest takes a Walk");
  });

  it("has the same checks as plain functions", () => {
    const walk = request("pod/c");
    expect(() => assertWalk(isDelivered(walk))).not.toThrow();
    expect(() => assertWalk(isDropped(walk))).toThrow("expected the packet to be dropped; it was delivered");
  });
});
