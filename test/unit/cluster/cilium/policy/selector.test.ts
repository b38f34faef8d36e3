// Labels, selectors and FQDN patterns.

import { describe, expect, it } from "vitest";
import { fqdnByName, fqdnByPattern, fqdnMatches } from "../../../../../src/cluster/cilium/policy/fqdn.js";
import { formatLabel, LabelSet, parseLabel } from "../../../../../src/cluster/cilium/policy/labels.js";
import {
  formatRequirement,
  parseKey,
  type RawSelector,
  Selector,
} from "../../../../../src/cluster/cilium/policy/selector.js";

describe("labels", () => {
  it("are read and written as source:key=value, an empty value without its sign", () => {
    const texts = ["k8s:app=web", "reserved:host", "app=web", "k8s:a=b=c", "cidr:10.0.0.0/8"];
    expect(texts.map(parseLabel)).toEqual([
      { source: "k8s", key: "app", value: "web" },
      { source: "reserved", key: "host", value: "" },
      { source: "unspec", key: "app", value: "web" },
      { source: "k8s", key: "a", value: "b=c" },
      { source: "cidr", key: "10.0.0.0/8", value: "" },
    ]);
    expect(texts.map((t) => formatLabel(parseLabel(t)))).toEqual([
      "k8s:app=web",
      "reserved:host",
      "unspec:app=web",
      "k8s:a=b=c",
      "cidr:10.0.0.0/8",
    ]);
  });

  it("make sets that are sorted and hold each label once", () => {
    const a = LabelSet.parse(["k8s:b", "k8s:a=1", "k8s:b"]);
    const b = LabelSet.parse(["k8s:a=1", "k8s:b"]);
    expect([a.texts, a.id === b.id]).toEqual([["k8s:a=1", "k8s:b"], true]);
  });
});

describe("keys of selectors", () => {
  it("name a source in front of a colon, reserved ones with a dollar or a dot too", () => {
    expect(
      ["app", "k8s:app", "any:app", ":app", "reserved:host", "$host", "reserved.host", "a.b/c"].map(parseKey),
    ).toEqual([
      { source: "any", key: "app" },
      { source: "k8s", key: "app" },
      { source: "any", key: "app" },
      { source: "any", key: "app" },
      { source: "reserved", key: "host" },
      { source: "reserved", key: "host" },
      { source: "reserved", key: "host" },
      { source: "any", key: "a.b/c" },
    ]);
  });
});

describe("selectors", () => {
  const sets = {
    web: LabelSet.parse(["k8s:app=web", "k8s:tier=front"]),
    db: LabelSet.parse(["k8s:app=db"]),
    host: LabelSet.parse(["reserved:host"]),
    net: LabelSet.parse(["cidr:10.1.0.0/16", "reserved:world"]),
  };
  const selected = (raw: RawSelector, source?: string): string[] => {
    const s = Selector.parse(raw, source);
    return Object.entries(sets)
      .filter(([, l]) => s.matches(l))
      .map(([k]) => k);
  };
  const expression = (key: string, operator: string, ...values: string[]): RawSelector => ({
    matchExpressions: [{ key, operator, values }],
  });

  it("without requirements select everything, and the one of nothing nothing", () => {
    expect([
      selected({}),
      Selector.WILDCARD.isWildcard,
      Object.values(sets).map((s) => Selector.NONE.matches(s)),
    ]).toEqual([["web", "db", "host", "net"], true, [false, false, false, false]]);
  });

  it("require every label of matchLabels", () => {
    expect([
      selected({ matchLabels: { app: "web" } }),
      selected({ matchLabels: { app: "web", tier: "back" } }),
      selected({ matchLabels: { "reserved:host": "" } }),
      selected({ matchLabels: { "k8s:app": "db" } }),
      selected({ matchLabels: { "node:app": "db" } }),
    ]).toEqual([["web"], [], ["host"], ["db"], []]);
  });

  it("take keys as they are when the source is given, as a NetworkPolicy does", () => {
    expect([
      selected({ matchLabels: { app: "web" } }, "k8s"),
      selected({ matchLabels: { "k8s:app": "web" } }, "k8s"),
    ]).toEqual([["web"], []]);
  });

  it("know the four operators, NotIn holding for labels that are not there", () => {
    expect([
      selected(expression("app", "In", "web", "db")),
      selected(expression("app", "NotIn", "web")),
      selected(expression("tier", "Exists")),
      selected(expression("app", "DoesNotExist")),
    ]).toEqual([["web", "db"], ["db", "host", "net"], ["web"], ["host", "net"]]);
  });

  it("find prefixes by containment", () => {
    expect([
      selected(expression("cidr:10.0.0.0/8", "Exists")),
      selected(expression("cidr:10.1.2.0/24", "Exists")),
      selected(expression("cidr:10.1.0.0/16", "DoesNotExist")),
    ]).toEqual([["net"], [], ["web", "db", "host"]]);
  });

  it("tell the first requirement that is not met", () => {
    const s = Selector.parse({ matchLabels: { app: "web", tier: "back" } });
    expect(
      [s.firstMismatch(sets.web), s.firstMismatch(sets.db)].map((r) => r && formatRequirement(r)),
    ).toEqual(["tier=back", "app=web"]);
  });

  it("are written in words that an author would use", () => {
    const s = [
      expression("app", "In", "web"),
      expression("k8s:app", "In", "web", "db"),
      expression("app", "NotIn", "web"),
      expression("reserved:host", "Exists"),
      expression("app", "DoesNotExist"),
    ].map((e) => formatRequirement(Selector.parse(e).expressions[0]!));
    expect(s).toEqual([
      "app=web",
      "k8s:app in (web, db)",
      "app not in (web)",
      "reserved:host exists",
      "app does not exist",
    ]);
  });

  it("replace a label that is required again, and add expressions", () => {
    const s = Selector.parse({ matchLabels: { app: "web" } }).withMatch("any", "app", "db");
    expect([s.matches(sets.web), s.matches(sets.db)]).toEqual([false, true]);
    const both = Selector.parse({ matchLabels: { app: "web" } }).and(
      Selector.parse(expression("tier", "DoesNotExist")),
    );
    expect(both.matches(sets.web)).toBe(false);
  });
});

describe("FQDN selectors", () => {
  const names = [
    "example.com",
    "api.example.com",
    "v1.api.example.com",
    "apixexample.com",
    "EXAMPLE.com.",
    "org",
  ];
  const byPattern = (p: string): string[] => names.filter((n) => fqdnMatches(fqdnByPattern(p), n));

  it("match a name whatever its case and final dot", () => {
    expect(names.filter((n) => fqdnMatches(fqdnByName("Example.COM"), n))).toEqual([
      "example.com",
      "EXAMPLE.com.",
    ]);
  });

  it("let a star stand for characters of one label, two in front for whole labels, and alone for every name", () => {
    expect([
      byPattern("*.example.com"),
      byPattern("**.example.com"),
      byPattern("a*.example.com"),
      byPattern("*"),
      byPattern("api*example.com"),
    ]).toEqual([
      ["api.example.com"],
      ["api.example.com", "v1.api.example.com"],
      ["api.example.com"],
      names,
      ["apixexample.com"],
    ]);
  });
});
