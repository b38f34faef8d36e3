import type { Comparison } from "./compare.js";
export function comparisonHtml(c: Comparison): string {
  return String(c);
}
