// YAML with positions: every value of a document can be traced to file, line and column.

import {
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
} from "yaml";
import { PodpathError, type SourcePosition } from "../base/errors.js";

/** One object of a file: its plain value, and the way from a path back to a position. */
export interface YamlObject {
  readonly value: unknown;
  readonly pos: (path?: readonly (string | number)[]) => SourcePosition;
}

/**
 * The documents of a YAML (or JSON) text, `kind: List` unpacked, empty ones left out.
 * Throws SCENARIO_INVALID with the position of the first syntax error.
 */
export function parseYamlObjects(text: string, file: string): YamlObject[] {
  const lines = new LineCounter();
  const at = (offset: number): SourcePosition => {
    const p = lines.linePos(offset);
    return { file, line: p.line, column: p.col };
  };
  const docs = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const out: YamlObject[] = [];
  for (const doc of docs) {
    const err = doc.errors[0];
    if (err !== undefined) {
      const message = err.message.replace(/\s+/g, " ").trim();
      throw new PodpathError("SCENARIO_INVALID", `YAML: ${message}`, at(err.pos[0]));
    }
    const root = doc.contents;
    if (root === null || (isScalar(root) && root.value === null)) continue;
    const whole = doc.toJS({ maxAliasCount: 100 }) as unknown;
    const position =
      (base: Node) =>
      (path: readonly (string | number)[] = []): SourcePosition => {
        let node: unknown = base;
        let best = startOf(base) ?? 0;
        for (const step of path) {
          if (isAlias(node)) node = node.resolve(doc);
          let next: unknown;
          if (isMap(node)) {
            const pair = node.items.find(
              (i) => isPair(i) && isScalar(i.key) && String(i.key.value) === String(step),
            );
            if (pair === undefined) break;
            // A missing or null value points at its key.
            best = startOf(pair.key) ?? best;
            next = pair.value;
          } else if (isSeq(node)) {
            next = node.items[Number(step)];
          } else break;
          const s = startOf(next);
          if (s !== undefined) best = s;
          node = next;
        }
        return at(best);
      };
    const list = listItems(whole, root);
    if (list === undefined) {
      out.push({ value: whole, pos: position(root) });
    } else {
      list.forEach(([value, node]) => {
        out.push({ value, pos: position(node) });
      });
    }
  }
  return out;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

/** The items of a `kubectl get -o yaml` list, with their nodes. */
function listItems(value: unknown, root: Node): [unknown, Node][] | undefined {
  if (!isMap(root) || typeof value !== "object" || value === null) return undefined;
  const v = value as { kind?: unknown; items?: unknown };
  if (typeof v.kind !== "string" || !v.kind.endsWith("List") || !Array.isArray(v.items)) return undefined;
  const seq = root.get("items", true);
  if (!isSeq(seq)) return undefined;
  return v.items.map((item, i) => [item, seq.items[i] as Node]);
}
