import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, posix, relative } from "node:path";
import { describe, expect, it } from "vitest";

// Who may import whom. A file imports only from floors below its own, or from its own folder.

const ROOT = new URL("../..", import.meta.url).pathname;

/** Folder (or single file) and its floor. */
const FLOORS: readonly (readonly [place: string, floor: number])[] = [
  ["src/base", 0],
  ["src/net", 1],
  ["maps", 2],
  ["src/bpf", 3],
  ["monitor", 3],
  ["programs", 4],
  ["src/kernel", 4],
  ["src/cluster", 5],
  ["src/scenario", 6],
  ["src/walk", 6],
  ["src/lab.ts", 6],
  ["src/conformance", 7],
  ["src/bench", 7],
  ["src/cli", 8],
  ["src/server", 8],
];

/**
 * Files outside a folder of the table, and imports within one floor that its purpose asks for: the lab and the
 * index are the face of their floor, and the command `serve` starts the server.
 */
const SAME_FLOOR: readonly (readonly [from: string, to: string])[] = [
  ["src/lab.ts", "src/scenario"],
  ["src/lab.ts", "src/walk"],
  // Comparisons and explanations build labs of their own; the lab itself uses only walks, checks and captures.
  ["src/walk", "src/lab.ts"],
  ["src/walk", "src/scenario"],
  ["src/cli", "src/server"],
];

/** Highest floor that must run unchanged in a browser. */
const BROWSER_CLEAN = 6;

interface Import {
  readonly file: string;
  readonly line: number;
  readonly target: string;
}

function filesUnder(dir: string): string[] {
  return readdirSync(join(ROOT, dir), { withFileTypes: true }).flatMap((e) => {
    const path = `${dir}/${e.name}`;
    if (e.isDirectory()) return filesUnder(path);
    return e.name.endsWith(".ts") ? [path] : [];
  });
}

/** The text with comments (and, if asked, the content of strings) blanked; line numbers stay. */
function code(text: string, keepStrings: boolean): string {
  const blank = (s: string): string => s.replace(/[^\n]/g, " ");
  return text.replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g,
    (m) => (m.startsWith("/") || !keepStrings ? blank(m) : m),
  );
}

const IMPORT =
  /\b(?:import|export)\b[^;"'`()]*?\bfrom\s*["']([^"']+)["']|\bimport\s*["']([^"']+)["']|\bimport\s*\(\s*["']([^"']+)["']/g;

function importsOf(file: string, text: string): Import[] {
  const src = code(text, true);
  return [...src.matchAll(IMPORT)].map((m) => ({
    file,
    line: src.slice(0, m.index).split("\n").length,
    target: (m[1] ?? m[2] ?? m[3])!,
  }));
}

/** Place of the floor table that a file belongs to; the index belongs to the lab. */
function placeOf(file: string): string | undefined {
  if (file === "src/index.ts" || file === "src/vitest.ts") return "src/lab.ts";
  return FLOORS.find(([place]) => file === place || file.startsWith(`${place}/`))?.[0];
}

function floorOf(place: string): number {
  return FLOORS.find(([p]) => p === place)![1];
}

const isBuiltin = (target: string): boolean =>
  target.startsWith("node:") || builtinModules.includes(target.split("/")[0]!);

/** What is wrong with an import, or undefined. */
function verdict(i: Import): string | undefined {
  const from = placeOf(i.file);
  if (from === undefined) return `${i.file} belongs to no floor`;
  const floor = floorOf(from);
  const at = `${i.file}:${i.line} (floor ${floor})`;
  if (!i.target.startsWith(".")) {
    if (isBuiltin(i.target) && floor <= BROWSER_CLEAN) return `${at} imports ${i.target}`;
    return undefined;
  }
  const file = posix.join(dirname(i.file), i.target);
  const to = placeOf(file.replace(/\.js$/, ".ts"));
  if (to === undefined)
    return file === "package.json" ? undefined : `${at} imports ${file}, which belongs to no floor`;
  if (to === from || floorOf(to) < floor) return undefined;
  if (SAME_FLOOR.some(([a, b]) => a === from && b === to)) return undefined;
  return `${at} imports ${file} (floor ${floorOf(to)})`;
}

/** Sources of chance and of the outside world that code on the lower floors must be given instead. */
const OUTSIDE =
  /(?<![.\w])(?:Date\.now|new Date\(\s*\)|Math\.random|process\.|performance\.|(?:setTimeout|setInterval|setImmediate|require|fetch)\((?!\w+\s*:)|localStorage)/g;

function outsideOf(file: string, text: string): string[] {
  const src = code(text, false);
  return [...src.matchAll(OUTSIDE)].map(
    (m) => `${file}:${src.slice(0, m.index).split("\n").length} uses ${m[0]}`,
  );
}

const FILES = ["src", "maps", "programs", "monitor"].flatMap(filesUnder);

describe("floors", () => {
  it("every source file belongs to one", () => {
    expect(FILES.filter((f) => placeOf(f) === undefined)).toEqual([]);
    expect(FILES.length).toBeGreaterThan(0);
  });

  it("files import only from floors below or from their own folder, and no Node module up to floor 6", () => {
    const wrong = FILES.flatMap((f) => importsOf(f, readFileSync(join(ROOT, f), "utf8")).map(verdict));
    expect(wrong.filter((w) => w !== undefined)).toEqual([]);
  });

  it("code up to floor 6 uses no wall clock, timer, process or global random source", () => {
    const used = FILES.filter((f) => floorOf(placeOf(f) ?? "src/cli") <= BROWSER_CLEAN).flatMap((f) => {
      const src = code(readFileSync(join(ROOT, f), "utf8"), false);
      return [...src.matchAll(OUTSIDE)].map(
        (m) => `${f}:${src.slice(0, m.index).split("\n").length} uses ${m[0]}`,
      );
    });
    expect(used).toEqual([]);
  });

  it("relative imports end in .js, as Node resolves them", () => {
    const all = FILES.flatMap((f) => importsOf(f, readFileSync(join(ROOT, f), "utf8")));
    expect(all.filter((i) => i.target.startsWith(".") && !/\.(js|json)$/.test(i.target))).toEqual([]);
  });
});

describe("the check itself", () => {
  const findings = (file: string, text: string): unknown[] => importsOf(file, text).map(verdict);

  it("sees every form of import, over several lines, and none in comments", () => {
    const text = [
      'import { a } from "./a.js";',
      "import {",
      "  b,",
      '} from "./b.js";',
      'import type { C } from "./c.js";',
      'export * from "./d.js";',
      'export { e } from "./e.js";',
      'import "./f.js";',
      'const g = await import("./g.js");',
      '// import { h } from "./h.js";',
      '/* export * from "./i.js"; */',
    ].join("\n");
    expect(importsOf("src/net/x.ts", text).map((i) => [i.line, i.target])).toEqual([
      [1, "./a.js"],
      [2, "./b.js"],
      [5, "./c.js"],
      [6, "./d.js"],
      [7, "./e.js"],
      [8, "./f.js"],
      [9, "./g.js"],
    ]);
  });

  it("tells right from wrong", () => {
    expect(findings("programs/lib/x.ts", 'import "../../src/kernel/dev.js";')).toEqual([
      "programs/lib/x.ts:1 (floor 4) imports src/kernel/dev.js (floor 4)",
    ]);
    expect(findings("src/base/x.ts", 'import "../net/view.js";')).toEqual([
      "src/base/x.ts:1 (floor 0) imports src/net/view.js (floor 1)",
    ]);
    expect(findings("src/lab.ts", 'import "node:fs"; import "path"; import "yaml";')).toEqual([
      "src/lab.ts:1 (floor 6) imports node:fs",
      "src/lab.ts:1 (floor 6) imports path",
      undefined,
    ]);
    expect(
      findings("src/cli/main.ts", 'import "node:fs"; import "../server/http.js"; import "../lab.js";'),
    ).toEqual([undefined, undefined, undefined]);
    expect(
      findings("maps/x.ts", 'import "../src/base/brand.js"; import "./spec.js"; import "../src/bpf/skb.js";'),
    ).toEqual([undefined, undefined, "maps/x.ts:1 (floor 2) imports src/bpf/skb.js (floor 3)"]);
    expect(findings("src/stray.ts", 'import "./lab.js";')).toEqual(["src/stray.ts belongs to no floor"]);
  });

  it("finds uses of the outside world, but not methods and words of the same name", () => {
    const text = [
      "const t = Date.now();",
      "setTimeout(() => {}, 5);",
      "ct.setTimeout(ct, 5);",
      "  setTimeout(ct: NfConn, ms: number): void {}",
      'const s = "Date.now()"; // process.env',
      "const x = Math.random() + process.pid;",
    ].join("\n");
    expect(outsideOf("a.ts", text)).toEqual([
      "a.ts:1 uses Date.now",
      "a.ts:2 uses setTimeout(",
      "a.ts:6 uses Math.random",
      "a.ts:6 uses process.",
    ]);
  });

  it("knows every folder that there is", () => {
    const folders = [
      ...new Set(
        FILES.map((f) =>
          relative(".", dirname(f))
            .split("/")
            .slice(0, f.startsWith("src/") ? 2 : 1)
            .join("/"),
        ),
      ),
    ];
    const known = FLOORS.map(([p]) => p);
    expect(folders.filter((f) => f !== "src" && !known.includes(f))).toEqual([]);
  });
});
