// Agent notifications (event type 130): a type byte and an independent gob stream of AgentNotify {Type, Text}, whose
// text is a JSON document that the client prints as it is.

import { decodeGob, describeStruct, GOB_STRING, GOB_UINT, GobWriter } from "./gob.js";
import { EVENT_AGENT, type Profile } from "./release.js";

/** A decoded notification. */
export interface AgentNotification {
  readonly type: number;
  readonly text: string;
}

/** Reads an agent sample. @throws GobError */
export function decodeAgentNotification(sample: Uint8Array): AgentNotification {
  const v = decodeGob(sample, 1) as Record<string, unknown>;
  const { Type = 0, Text = "" } = v;
  return { type: typeof Type === "number" ? Type : 0, text: typeof Text === "string" ? Text : "" };
}

const AGENT_ID = 64;
const DESCRIPTION = describeStruct(AGENT_ID, "AgentNotify", [
  ["Type", GOB_UINT],
  ["Text", GOB_STRING],
]);

/** The sample of a notification, as the agent sends it. */
export function encodeAgentNotification(n: AgentNotification): Uint8Array {
  const body = new GobWriter();
  body.int(AGENT_ID);
  if (n.type !== 0) {
    body.uint(1);
    body.uint(n.type);
  }
  if (n.text !== "") {
    body.uint(n.type !== 0 ? 1 : 2);
    body.string(n.text);
  }
  body.uint(0);
  const out = new GobWriter();
  out.raw(Uint8Array.of(EVENT_AGENT));
  out.raw(DESCRIPTION);
  out.message(body);
  return out.take();
}

/** The name of a notification's type, or its number. */
export function agentTypeName(p: Profile, type: number): string {
  return p.agentTypes[type] ?? String(type);
}

/** `>> SUBTYPE: TEXT`. */
export function agentLine(p: Profile, n: AgentNotification): string {
  return `>> ${agentTypeName(p, n.type)}: ${n.text}\n`;
}

/** The JSON line; the text goes in as it is, so that it is JSON only if the text is. */
export function agentJson(p: Profile, n: AgentNotification): string {
  return `{"type":"agent","subtype":"${agentTypeName(p, n.type)}","message":${n.text}}\n`;
}
