// The JSON Schema of scenario files, for editors: podpath's own kinds as strictly as they are read, the rest of
// Kubernetes open.

import * as z from "zod/mini";
import {
  ciliumEndpointSchema,
  ciliumIdentitySchema,
  configMapSchema,
  datapathSchema,
  hostSchema,
  labSchema,
  networkSchema,
  nodeSchema,
  nodeWiringSchema,
  podSchema,
  podWiringSchema,
  topologySchema,
  trafficSchema,
} from "./schema.js";

type JsonSchema = Record<string, unknown>;

const OWN = {
  Lab: labSchema,
  Datapath: datapathSchema,
  Network: networkSchema,
  NodeWiring: nodeWiringSchema,
  PodWiring: podWiringSchema,
  Host: hostSchema,
  Topology: topologySchema,
  Traffic: trafficSchema,
} as const;

const KUBERNETES = {
  Node: nodeSchema,
  Pod: podSchema,
  CiliumEndpoint: ciliumEndpointSchema,
  CiliumIdentity: ciliumIdentitySchema,
  ConfigMap: configMapSchema,
} as const;

/** The schema of one document of a scenario file (draft 2020-12), chosen by `apiVersion` and `kind`. */
export function scenarioJsonSchema(ownApi: string): JsonSchema {
  const $defs: JsonSchema = {};
  const branches: JsonSchema[] = [];
  for (const [kind, schema] of Object.entries(OWN)) {
    $defs[kind] = withKind(jsonOf(schema), kind, ownApi);
    branches.push({
      if: { properties: { kind: { const: kind }, apiVersion: { const: ownApi } } },
      // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
      then: { $ref: `#/$defs/${kind}` },
    });
  }
  for (const [kind, schema] of Object.entries(KUBERNETES)) {
    $defs[kind] = withKind(jsonOf(schema), kind);
    branches.push({
      if: { properties: { kind: { const: kind } } },
      // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
      then: { $ref: `#/$defs/${kind}` },
    });
  }
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "podpath scenario",
    description: "One document of a scenario file: a kind of podpath's own, or a Kubernetes object.",
    type: "object",
    required: ["apiVersion", "kind"],
    properties: { apiVersion: { type: "string" }, kind: { type: "string" } },
    allOf: [
      ...branches,
      {
        if: { properties: { apiVersion: { pattern: "^podpath\\.dev/" } }, required: ["apiVersion"] },
        // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
        then: { properties: { apiVersion: { const: ownApi }, kind: { enum: Object.keys(OWN) } } },
      },
    ],
    $defs,
  };
}

/** What people write, not what is read from it: maps of loose values stay loose. */
function jsonOf(schema: z.core.$ZodType): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return rest;
}

function withKind(schema: JsonSchema, kind: string, api?: string): JsonSchema {
  const properties = {
    ...(schema.properties as JsonSchema),
    kind: { const: kind },
    apiVersion: api === undefined ? { type: "string" } : { const: api },
  };
  return { ...schema, properties };
}
