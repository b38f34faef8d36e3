// Checks on label selectors as Kubernetes makes them (apimachinery validation), on the agent's extended keys
// (`any.app`, `k8s.app`).

import { quote } from "./prefix.js";
import type { RawSelector } from "./selector.js";
import { parseKey } from "./selector.js";

const NAME = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

/** The reason why a selector is invalid, or undefined. `prefix` is put before keys (node selectors); undefined: the source in the key. */
export function selectorProblem(raw: RawSelector, prefix?: string): string | undefined {
  const extended = (key: string): string => {
    if (prefix !== undefined) return prefix + key;
    const k = parseKey(key);
    return `${k.source}.${k.key}`;
  };
  const problems: string[] = [];
  for (const [k, v] of Object.entries(raw.matchLabels ?? {})) {
    problems.push(...nameProblems(extended(k), "matchLabels"));
    problems.push(...valueProblems(v ?? "", "matchLabels"));
  }
  (raw.matchExpressions ?? []).forEach((e, i) => {
    const at = `matchExpressions[${i}]`;
    const values = e.values ?? [];
    switch (e.operator) {
      case "In":
      case "NotIn":
        if (values.length === 0) {
          problems.push(
            `${at}.values: Required value: must be specified when \`operator\` is 'In' or 'NotIn'`,
          );
        }
        break;
      case "Exists":
      case "DoesNotExist":
        if (values.length > 0) {
          problems.push(
            `${at}.values: Forbidden: may not be specified when \`operator\` is 'Exists' or 'DoesNotExist'`,
          );
        }
        break;
      default:
        problems.push(
          `${at}.operator: Invalid value: ${quote(e.operator ?? "")}: not a valid selector operator`,
        );
    }
    problems.push(...nameProblems(extended(e.key ?? ""), `${at}.key`));
    values.forEach((v, k) => {
      problems.push(...valueProblems(v, `${at}.values[${k}]`));
    });
  });
  if (problems.length === 0) return undefined;
  const unique = [...new Set(problems)];
  return `invalid label selector: ${unique.length === 1 ? unique[0] : `[${unique.join(", ")}]`}`;
}

function nameProblems(key: string, at: string): string[] {
  const out: string[] = [];
  const bad = (why: string): void => {
    out.push(`${at}: Invalid value: ${quote(key)}: ${why}`);
  };
  const parts = key.split("/");
  let name = parts[0]!;
  if (parts.length === 2) {
    const dns = parts[0]!;
    name = parts[1]!;
    if (dns === "") bad("prefix part must be non-empty");
    else if (dns.length > 253) bad("prefix part must be no more than 253 bytes");
    else if (!SUBDOMAIN.test(dns)) {
      bad(
        "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
      );
    }
  } else if (parts.length > 2) {
    bad(
      "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
    );
    return out;
  }
  if (name === "") bad("name part must be non-empty");
  else if (name.length > 63) bad("name part must be no more than 63 bytes");
  if (!NAME.test(name)) {
    bad(
      "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    );
  }
  return out;
}

function valueProblems(value: string, at: string): string[] {
  const out: string[] = [];
  if (value.length > 63) out.push(`${at}: Invalid value: ${quote(value)}: must be no more than 63 bytes`);
  if (!VALUE.test(value)) {
    out.push(
      `${at}: Invalid value: ${quote(value)}: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
    );
  }
  return out;
}
