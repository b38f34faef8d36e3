import { describe, expect, it } from "vitest";
import { MonitorFormatter } from "../../../monitor/format.js";
import { GobWriter } from "../../../monitor/gob.js";

type Release = "1.19" | "1.11";

/** What goes into a record; the gob types are made to fit, as any Go program's would be. */
interface Rec {
  type?: string;
  point?: string;
  http?: { method: string; url?: string; code?: number; headers?: [string, string[]][] };
  dns?: {
    query: string;
    source: string;
    qtypes: number[];
    ips?: Uint8Array[];
    ttl?: number;
    cnames?: string[];
  };
  l7?: { proto: string; fields: [string, string][] };
}

const BOOLEAN_END = 0;
const INT = 2;
const UINT = 3;
const BYTES = 5;
const STRING = 6;

/** The sample of a record, with a hand-made set of type descriptions (ids 64 and up, as they are needed). */
function sample(r: Rec): Uint8Array {
  const out = new GobWriter();
  out.raw(Uint8Array.of(129));
  let next = 64;
  const message = (write: (w: GobWriter) => void): void => {
    const w = new GobWriter();
    write(w);
    out.message(w);
  };
  const common = (w: GobWriter, id: number): void => {
    w.uint(1);
    w.uint(2);
    w.int(id);
    w.uint(BOOLEAN_END);
  };
  const struct = (fields: [string, number][]): number => {
    const id = next++;
    message((w) => {
      w.int(-id);
      w.uint(3);
      common(w, id);
      w.uint(1);
      w.uint(fields.length);
      for (const [name, type] of fields) {
        w.uint(1);
        w.string(name);
        w.uint(1);
        w.int(type);
        w.uint(0);
      }
      w.uint(0);
      w.uint(0);
    });
    return id;
  };
  const slice = (elem: number): number => {
    const id = next++;
    message((w) => {
      w.int(-id);
      w.uint(2);
      common(w, id);
      w.uint(1);
      w.int(elem);
      w.uint(0);
      w.uint(0);
    });
    return id;
  };
  const mapOf = (elem: number): number => {
    const id = next++;
    message((w) => {
      w.int(-id);
      w.uint(4);
      common(w, id);
      w.uint(1);
      w.int(STRING);
      w.uint(1);
      w.int(elem);
      w.uint(0);
      w.uint(0);
    });
    return id;
  };
  const label = struct([
    ["Key", STRING],
    ["Value", STRING],
    ["Source", STRING],
  ]);
  const labels = slice(label);
  const strings = slice(STRING);
  const uints = slice(UINT);
  const addresses = slice(BYTES);
  const endpoint = struct([
    ["ID", UINT],
    ["Identity", UINT],
    ["Labels", labels],
  ]);
  const headers = mapOf(strings);
  const texts = mapOf(STRING);
  const http = struct([
    ["Code", INT],
    ["Method", STRING],
    ["URL", BYTES],
    ["Headers", headers],
  ]);
  const dns = struct([
    ["Query", STRING],
    ["IPs", addresses],
    ["TTL", UINT],
    ["CNAMEs", strings],
    ["ObservationSource", STRING],
    ["QTypes", uints],
  ]);
  const l7 = struct([
    ["Proto", STRING],
    ["Fields", texts],
  ]);
  const record = struct([
    ["Type", STRING],
    ["ObservationPoint", STRING],
    ["SourceEndpoint", endpoint],
    ["DestinationEndpoint", endpoint],
    ["Verdict", STRING],
    ["HTTP", http],
    ["DNS", dns],
    ["L7", l7],
  ]);
  message((w) => {
    w.int(record);
    let field = -1;
    const begin = (n: number): void => {
      w.uint(n - field);
      field = n;
    };
    const stringList = (list: readonly string[]): void => {
      w.uint(list.length);
      for (const s of list) w.string(s);
    };
    const side = (n: number, id: number, identity: number, key: string, value: string): void => {
      begin(n);
      w.uint(1);
      w.uint(id);
      w.uint(1);
      w.uint(identity);
      w.uint(1);
      w.uint(1);
      w.uint(1);
      w.string(key);
      w.uint(value === "" ? 2 : 1);
      if (value !== "") {
        w.string(value);
        w.uint(1);
      }
      w.string("k8s");
      w.uint(0);
      w.uint(0);
    };
    begin(0);
    w.string(r.type ?? "Request");
    begin(1);
    w.string(r.point ?? "Ingress");
    side(2, 65536 + 12, 3352, "app", "a");
    side(3, 34, 4000, "b", "");
    begin(4);
    w.string("Forwarded");
    if (r.http !== undefined) {
      begin(5);
      if (r.http.code !== undefined) {
        w.uint(1);
        w.int(r.http.code);
      }
      w.uint(r.http.code === undefined ? 2 : 1);
      w.string(r.http.method);
      if (r.http.url !== undefined) {
        w.uint(1);
        w.string(r.http.url);
      }
      if (r.http.headers !== undefined) {
        w.uint(r.http.url === undefined ? 2 : 1);
        w.uint(r.http.headers.length);
        for (const [k, v] of r.http.headers) {
          w.string(k);
          stringList(v);
        }
      }
      w.uint(0);
    }
    if (r.dns !== undefined) {
      begin(6);
      w.uint(1);
      w.string(r.dns.query);
      let last = 0;
      const part = (n: number): void => {
        w.uint(n - last);
        last = n;
      };
      if (r.dns.ips !== undefined) {
        part(1);
        w.uint(r.dns.ips.length);
        for (const ip of r.dns.ips) w.byteSlice(ip);
      }
      if (r.dns.ttl !== undefined) {
        part(2);
        w.uint(r.dns.ttl);
      }
      if (r.dns.cnames !== undefined) {
        part(3);
        stringList(r.dns.cnames);
      }
      part(4);
      w.string(r.dns.source);
      part(5);
      w.uint(r.dns.qtypes.length);
      for (const t of r.dns.qtypes) w.uint(t);
      w.uint(0);
    }
    if (r.l7 !== undefined) {
      begin(7);
      w.uint(1);
      w.string(r.l7.proto);
      w.uint(1);
      w.uint(r.l7.fields.length);
      for (const [k, v] of r.l7.fields) {
        w.string(k);
        w.string(v);
      }
      w.uint(0);
    }
    w.uint(0);
  });
  return out.take();
}

const text = (release: Release, r: Rec): string =>
  new MonitorFormatter({ profile: release }).format(0, sample(r));
const json = (release: Release, r: Rec): string =>
  new MonitorFormatter({ profile: release, json: true }).format(0, sample(r));

const SIDES = "from 65548 ([k8s:app=a]) to 34 ([k8s:b]), identity 3352->4000, verdict Forwarded";

describe("access-log records", () => {
  it("of HTTP print method, URL and code", () => {
    const r: Rec = { http: { method: "GET", url: "http://foo.bar/x?y=1", code: 200 } };
    expect(text("1.19", r)).toBe(`<- Request http ${SIDES} GET http://foo.bar/x?y=1 => 200\n`);
    expect(text("1.19", { point: "", http: { method: "PUT" } })).toBe(`?? Request http ${SIDES} PUT  => 0\n`);
  });

  it("of responses name the two sides in the release's order", () => {
    const r: Rec = { type: "Response", point: "Egress", l7: { proto: "p", fields: [["status", "ok"]] } };
    expect(text("1.19", r)).toBe(
      "-> Response p to 34 ([k8s:b]) from 65548 ([k8s:app=a]), identity 3352->4000, verdict Forwarded => status:ok\n",
    );
    expect(text("1.11", r)).toBe(
      "-> Response p to 65548 ([k8s:app=a]) from 34 ([k8s:b]), identity 3352->4000, verdict Forwarded => status:ok\n",
    );
  });

  it("of DNS print the recorded source in 1.19, and Query or Proxy in 1.11", () => {
    const mapped = new Uint8Array(16);
    mapped.set([0xff, 0xff, 1, 1, 1, 1], 10);
    const dns = {
      query: "cilium.io.",
      source: "proxy",
      qtypes: [1, 28, 9999],
      ips: [Uint8Array.of(1, 1, 1, 1), mapped],
      ttl: 30,
      cnames: ["a.b."],
    };
    expect(text("1.19", { type: "Response", dns })).toBe(
      "<- Response dns to 34 ([k8s:b]) from 65548 ([k8s:app=a]), identity 3352->4000, verdict Forwarded DNS proxy: cilium.io. A,AAAA, TTL: 30 Answer: '1.1.1.1,::ffff:1.1.1.1' CNAMEs: a.b.\n",
    );
    expect(text("1.11", { type: "Response", dns })).toBe(
      "<- Response dns to 65548 ([k8s:app=a]) from 34 ([k8s:b]), identity 3352->4000, verdict Forwarded DNS Proxy: cilium.io. A,AAAA, TTL: 30 Answer: '1.1.1.1,1.1.1.1' CNAMEs: a.b.\n",
    );
    expect(text("1.11", { dns })).toBe(`<- Request dns ${SIDES} DNS Query: cilium.io. A,AAAA,\n`);
    expect(text("1.11", { type: "Sample", dns })).toBe("\n");
    expect(json("1.19", { dns })).toContain(
      '"dns":{"Query":"cilium.io.","IPs":["1.1.1.1","::ffff:1.1.1.1"],"TTL":30,"CNAMEs":["a.b."],"ObservationSource":"proxy","QTypes":[1,28,9999]}}',
    );
  });

  it("of no known protocol end without a newline, and samples of them print nothing", () => {
    expect(text("1.19", {})).toBe(`<- Request unknown-l7 ${SIDES}`);
    expect(text("1.19", { type: "Sample" })).toBe("");
  });

  it("give URLs in JSON as Go's url.URL has them", () => {
    const url = (u: string, release: Release = "1.19"): unknown => {
      const line = json(release, { http: { method: "GET", url: u } });
      return (JSON.parse(line) as { http: { URL: unknown } }).http.URL;
    };
    const base = {
      Scheme: "http",
      Opaque: "",
      User: null,
      Host: "foo.bar:80",
      Path: "/x",
      Fragment: "",
      RawQuery: "",
      RawPath: "",
      RawFragment: "",
      ForceQuery: false,
      OmitHost: false,
    };
    expect(url("http://foo.bar:80/x?y=1#z")).toEqual({ ...base, RawQuery: "y=1", Fragment: "z" });
    expect(url("HTTP://u:p@foo.bar:80/x?")).toEqual({ ...base, User: {}, ForceQuery: true });
    expect(url("http://foo.bar:80/a%2Fb")).toEqual({ ...base, Path: "/a/b", RawPath: "/a%2Fb" });
    expect(url("http://foo.bar:80/a%20b")).toEqual({ ...base, Path: "/a b" });
    expect(url("mailto:a@b")).toEqual({ ...base, Scheme: "mailto", Host: "", Path: "", Opaque: "a@b" });
    expect(url("http:/x")).toEqual({ ...base, Host: "", OmitHost: true });
    expect(url("/x?<&>")).toEqual({ ...base, Scheme: "", Host: "", RawQuery: "<&>" });
    expect(Object.keys(url("/x", "1.11") as object)).not.toContain("OmitHost");
    expect(json("1.19", { http: { method: "GET", url: "/x?<&>" } })).toContain(
      '"RawQuery":"\\u003c\\u0026\\u003e"',
    );
  });

  it("give maps in JSON with sorted keys, and null without one", () => {
    const line = json("1.19", {
      http: {
        method: "GET",
        headers: [
          ["X-B", ["2", "3"]],
          ["X-A", ["1"]],
        ],
      },
    });
    expect(line).toContain(
      '"URL":null,"Protocol":"","Headers":{"X-A":["1"],"X-B":["2","3"]},"MissingHeaders":null,"RejectedHeaders":null}',
    );
    expect(
      json("1.19", {
        l7: {
          proto: "r",
          fields: [
            ["z", "1"],
            ["a", "2"],
          ],
        },
      }),
    ).toContain('"l7":{"Proto":"r","Fields":{"a":"2","z":"1"}}}');
  });

  it("that cannot be decoded are skipped in 1.19 and printed empty in 1.11", () => {
    const cut = sample({}).subarray(0, 60);
    const of = (release: Release, jsonForm: boolean): string =>
      new MonitorFormatter({ profile: release, json: jsonForm }).format(0, cut);
    expect(of("1.19", false)).toBe("cannot decode message type '129': unexpected EOF\n");
    expect(of("1.11", false)).toBe("Error while decoding LogRecord notification message: unexpected EOF\n");
    expect(of("1.11", true)).toBe(
      'Error while decoding LogRecord notification message: unexpected EOF\n{"type":"logRecord","observationPoint":"","flowType":"","l7Proto":"unknown-l7","srcEpID":0,"srcEpLabels":[],"srcIdentity":0,"dstEpID":0,"dstEpLabels":[],"dstIdentity":0,"verdict":""}\n',
    );
  });
});
