// The comparison page in a real browser: Debian's chromium, headless, driven by playwright-core.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compareFlow } from "../../src/walk/compare.js";
import { comparisonHtml } from "../../src/walk/compare_html.js";
import { parseFlow } from "../../src/walk/flow.js";
import { twoNodeLab } from "../support/two_nodes.js";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((p) =>
  existsSync(p),
);

/** What the tests use of a DOM element; the rest of the DOM's types would leak into every file. */
interface Boxed {
  getBoundingClientRect(): { left: number; top: number; height: number };
}

describe.skipIf(CHROMIUM === undefined)("compare page (skipped where no chromium is installed)", () => {
  const dir = mkdtempSync(join(tmpdir(), "compare-page-"));
  const file = pathToFileURL(join(dir, "page.html")).href;
  let browser: Browser;
  const comparison = compareFlow(
    (["cilium-host-routing", "cilium-legacy"] as const).map((datapath) => twoNodeLab({ datapath })),
    parseFlow("pod/a -> pod/c:8080/tcp"),
  );

  beforeAll(async () => {
    writeFileSync(join(dir, "page.html"), comparisonHtml(comparison));
    browser = await chromium.launch({
      executablePath: CHROMIUM!,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Opens the page; gives what went wrong and what it loaded. */
  async function open(
    width: number,
    height: number,
  ): Promise<{ page: Page; errors: string[]; loaded: string[] }> {
    const page = await browser.newPage({ viewport: { width, height } });
    const errors: string[] = [];
    const loaded: string[] = [];
    page.on("pageerror", (e) => errors.push(String(e)));
    page.on("console", (m) => {
      if (m.type() === "error") errors.push(m.text());
    });
    page.on("request", (r) => loaded.push(r.url()));
    await page.goto(file);
    return { page, errors, loaded };
  }

  const visible = "section.dir:not([hidden])";

  it.each([1280, 400])("loads nothing but itself and fits a window of %i pixels", async (width) => {
    const { page, errors, loaded } = await open(width, 900);
    expect({ errors, loaded }).toEqual({ errors: [], loaded: [file] });
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(width);
    const boxes = await page.locator(`${visible} .panel`).evaluateAll((all: Boxed[]) =>
      all.map((e) => {
        const r = e.getBoundingClientRect();
        return { left: Math.round(r.left), top: Math.round(r.top) };
      }),
    );
    // Side by side where there is room, one below the other where there is none.
    expect(boxes.length).toBe(2);
    expect(boxes[0]!.top === boxes[1]!.top).toBe(width === 1280);
    expect(boxes[0]!.left === boxes[1]!.left).toBe(width === 400);
    // Nothing is drawn that cannot be read: text of a box is at least 8 pixels high.
    const height = await page
      .locator(`${visible} svg .box text`)
      .first()
      .evaluate((e: Boxed) => e.getBoundingClientRect().height);
    expect(height).toBeGreaterThanOrEqual(8);
    await page.close();
  });

  it("steps with keys and buttons and shows the bytes that changed", async () => {
    const { page } = await open(1280, 900);
    const rows = comparison.directions[0]!.rows;
    const legacy = comparison.directions[0]!.walks[1]!.steps;
    const at = rows.findIndex((r) => legacy[r[1]!]?.changes.some((c) => c.field === "ip.ttl"));
    for (let i = 0; i < at; i++) await page.keyboard.press("ArrowRight");
    expect(await page.locator("#count").textContent()).toBe(`${at + 1} / ${rows.length}`);
    const panel = page.locator(`${visible} .panel`).nth(1);
    expect(await panel.locator(".step li").allTextContents()).toEqual(
      legacy[rows[at]![1]!]!.changes.map((c) => `${c.field} ${c.from} ${c.to}`),
    );
    // TTL is one byte, the header checksum two.
    expect(await panel.locator(".step mark").count()).toBe(3);
    expect(await panel.locator(".box.now").count()).toBe(1);
    await page.locator("#prev").click();
    expect(await page.locator("#count").textContent()).toBe(`${at} / ${rows.length}`);
    await page.keyboard.press("End");
    expect(await page.locator("#count").textContent()).toBe(`${rows.length} / ${rows.length}`);
    await page.close();
  });

  it("draws what a datapath skips as open boxes, and shows the reply on demand", async () => {
    const { page } = await open(1280, 900);
    const texts = async (n: number, what: string): Promise<string[]> =>
      page.locator(`${visible} .panel`).nth(n).locator(`${what} text`).allTextContents();
    const hooks = (all: string[]): string[] => all.filter((t) => /^[A-Z]{5,}$/.test(t));
    const three = ["PREROUTING", "FORWARD", "POSTROUTING"];
    expect(hooks(await texts(0, ".ghost"))).toEqual([...three, ...three]);
    expect(hooks(await texts(1, ".box"))).toEqual([...three, ...three]);
    await page.locator('[data-show="1"]').click();
    expect(await page.locator(visible).getAttribute("data-dir")).toBe("1");
    expect(await page.locator("#count").textContent()).toBe(`1 / ${comparison.directions[1]!.rows.length}`);
    await page.close();
  });
});
