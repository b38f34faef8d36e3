// What the client prints around the events: banner, log lines, farewell; and on which stream, which differs between
// the releases (1.19: banner on stderr, log lines on stdout between the events; 1.11: the other way round).

import type { Profile } from "./release.js";

/** A piece of text and where it goes. */
export interface SessionText {
  readonly stream: "stdout" | "stderr";
  readonly text: string;
}

/** The `nodeMonitor` of the agent's health answer: CPUs, pages of a CPU's ring, size of a page. */
export interface NodeMonitor {
  readonly cpus: number;
  readonly npages: number;
  readonly pagesize: number;
}

function banner(p: Profile, text: string): SessionText {
  return { stream: p.release.bannerOnStderr ? "stderr" : "stdout", text };
}

function log(p: Profile, text: string): SessionText {
  return { stream: p.release.bannerOnStderr ? "stdout" : "stderr", text };
}

/** The lines before the first event; without `ring` (the agent gave no answer) the first of them is missing. */
export function startUpText(p: Profile, ring?: NodeMonitor): SessionText[] {
  const lines: SessionText[] = [];
  if (ring !== undefined) {
    lines.push(
      banner(
        p,
        `Listening for events on ${ring.cpus} CPUs with ${ring.npages}x${ring.pagesize} of shared memory\n`,
      ),
    );
  }
  lines.push(banner(p, "Press Ctrl-C to quit\n"));
  return lines;
}

/** What Ctrl-C prints. */
export function interruptText(p: Profile): SessionText {
  return banner(p, "\nReceived an interrupt, disconnecting from monitor...\n\n");
}

/**
 * The log line before the first event whose packet is decoded. `time` is RFC 3339 with nanoseconds; the older
 * client's line has none.
 */
export function dissectionCacheText(p: Profile, time: string): SessionText {
  const msg = 'level=info msg="Initializing dissection cache..."';
  return p.release.bannerOnStderr ? log(p, `time=${time} ${msg}\n`) : log(p, `${msg} subsys=monitor\n`);
}

/** The log line when the server closes the connection. */
export function connectionClosedText(p: Profile, time: string): SessionText {
  return p.release.bannerOnStderr
    ? log(p, `time=${time} level=warn msg="connection closed" subsys=cilium-dbg error=EOF\n`)
    : log(p, `time="${time}" level=warning msg="connection closed" error=EOF\n`);
}

/** The log line for a payload of unknown type. */
export function unknownPayloadText(p: Profile, time: string, type: number): SessionText {
  return p.release.bannerOnStderr
    ? log(
        p,
        `time=${time} level=warn msg="Unknown payload type" subsys=cilium-dbg error=<nil> type=${type}\n`,
      )
    : log(p, `time="${time}" level=warning msg="Unknown payload type" type=${type}\n`);
}
