// Style and script of the comparison page. The script runs in the reader's browser: it moves a marker along the drawn
// paths and shows the bytes and fields of the step; it loads nothing.

export const PAGE_STYLE = `
:root { color-scheme: light; font: 14px/1.45 system-ui, "DejaVu Sans", sans-serif; color: #1a1f26; background: #f5f6f8; }
* { box-sizing: border-box; }
body { margin: 0; }
header, main { padding: 0 16px; max-width: 1700px; margin: 0 auto; }
h1 { font-size: 18px; margin: 14px 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 16px; margin: 20px 0 6px; }
h3 { font-size: 14px; margin: 10px 0 4px; overflow-wrap: anywhere; }
.why { margin: 0 0 8px; padding-left: 18px; color: #4a5462; }
nav { position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: 6px; align-items: center; padding: 8px 16px;
  background: #fffffff2; border-block: 1px solid #d5dae1; }
nav input { flex: 1 1 120px; min-width: 80px; }
nav output { min-width: 64px; text-align: right; font-variant-numeric: tabular-nums; }
button { font: inherit; padding: 4px 10px; border: 1px solid #b9c1cc; border-radius: 6px; background: #fff; cursor: pointer; }
button:hover, button:focus-visible { border-color: #1b6ac9; }
button[aria-pressed="true"] { background: #1a1f26; color: #fff; border-color: #1a1f26; }
.dirs { display: inline-flex; gap: 4px; margin-right: 8px; }
.dir { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 12px; margin-top: 12px; }
.dir[hidden] { display: none; }
.panel { margin: 0; min-width: 0; background: #fff; border: 1px solid #d5dae1; border-top: 4px solid var(--c); border-radius: 8px; padding: 8px; }
figcaption b { display: block; color: var(--c); }
figcaption span { display: block; color: #4a5462; overflow-wrap: anywhere; min-height: 2.9em; }
.scroll { height: 52vh; overflow-y: auto; overscroll-behavior: contain; border-block: 1px solid #e6e9ee; margin: 6px 0; }
svg { display: block; width: 100%; max-width: 560px; margin: 0 auto; }
svg text { font: 11px system-ui, "DejaVu Sans", sans-serif; text-anchor: middle; fill: #1a1f26; pointer-events: none; }
svg text.ns { text-anchor: start; font-weight: 600; fill: #4a5462; }
rect.ns { fill: #f2f4f7; stroke: #cdd4dd; }
.box rect { stroke: #5b6675; fill: #fff; }
.box { cursor: pointer; }
.k0 rect { fill: #e6f0fb; } .k1 rect { fill: #fdeedd; } .k2 rect { fill: #e9f5ea; }
.drop rect { fill: #fbdcdc; stroke: #b3261e; }
.ghost rect { fill: none; stroke: #b9c1cc; stroke-dasharray: 4 3; } .ghost text { fill: #9aa4b1; }
.box.now rect { stroke: var(--c); stroke-width: 3; }
.way { fill: none; stroke-width: 3; stroke-opacity: .55; stroke-linejoin: round; }
.marker { stroke: #fff; stroke-width: 2; transition: cx .15s, cy .15s; }
.step { min-height: 200px; overflow-wrap: anywhere; }
.step.absent { opacity: .5; }
.step h4 { margin: 2px 0; font-size: 13px; }
.step p { margin: 2px 0; color: #4a5462; }
.step ul { margin: 2px 0; padding-left: 18px; }
.step ins { background: #d7f0da; text-decoration: none; padding: 0 2px; border-radius: 3px; }
.step del { background: #fbe0e0; padding: 0 2px; border-radius: 3px; }
pre.hex { font: 11px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; margin: 4px 0 0; white-space: pre; overflow-x: auto; }
pre.hex mark { background: #ffd76a; border-radius: 2px; }
.summary table { border-collapse: collapse; margin: 6px 0; }
.summary td, .summary th { border: 1px solid #d5dae1; padding: 2px 8px; text-align: right; font-variant-numeric: tabular-nums; }
.summary th:first-child { text-align: left; font-weight: 400; }
.summary ul { padding-left: 18px; } .summary li { overflow-wrap: anywhere; }
.summary { overflow-x: auto; }
@media (max-width: 760px) { .scroll { height: 40vh; } .step { min-height: 0; } pre.hex { font-size: 10px; } header, main { padding: 0 8px; } nav { padding: 6px 8px; } }
@media (prefers-reduced-motion: reduce) { .marker { transition: none; } }
`;

export const PAGE_SCRIPT = `
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const sections = [...document.querySelectorAll("section.dir")];
  const range = document.getElementById("at");
  const count = document.getElementById("count");
  let dir = 0;
  let at = 0;
  const el = (tag, text) => { const e = document.createElement(tag); if (text !== undefined) e.textContent = text; return e; };

  function hexDump(hex, changes) {
    const pre = el("pre"); pre.className = "hex";
    const hot = new Set();
    for (const c of changes) for (let k = 0; k < c[4]; k++) hot.add(c[3] + k);
    const n = hex.length / 2;
    for (let i = 0; i < n; i++) {
      if (i % 16 === 0) pre.append((i === 0 ? "" : "\\n") + i.toString(16).padStart(4, "0") + " ");
      const b = hex.slice(2 * i, 2 * i + 2);
      pre.append(i % 8 === 0 && i % 16 !== 0 ? "  " : " ");
      if (hot.has(i)) pre.append(el("mark", b)); else pre.append(b);
    }
    return pre;
  }

  function show() {
    const d = data.dirs[dir];
    const row = d.rows[at];
    range.max = String(d.rows.length - 1);
    range.value = String(at);
    count.textContent = (at + 1) + " / " + d.rows.length;
    sections.forEach((s, i) => { s.hidden = i !== dir; });
    document.querySelectorAll("[data-show]").forEach((b) => b.setAttribute("aria-pressed", String(Number(b.dataset.show) === dir)));
    sections[dir].querySelectorAll(".panel").forEach((panel, k) => {
      const walk = d.walks[k];
      const out = panel.querySelector(".step");
      out.replaceChildren();
      if (walk === null) return;
      let i = row[k];
      const absent = i < 0;
      for (let r = at; i < 0 && r >= 0; r--) i = d.rows[r][k];
      out.classList.toggle("absent", absent);
      panel.querySelectorAll(".now").forEach((g) => g.classList.remove("now"));
      const marker = panel.querySelector(".marker");
      if (i < 0) { marker.setAttribute("cx", "-20"); marker.setAttribute("cy", "-20"); return; }
      const step = walk.steps[i];
      const box = panel.querySelector('[data-station="' + step.station + '"]');
      if (box !== null) {
        if (!absent) box.classList.add("now");
        const rect = box.querySelector("rect");
        const y = Number(rect.getAttribute("y")) + Number(rect.getAttribute("height")) / 2;
        marker.setAttribute("cx", rect.getAttribute("x"));
        marker.setAttribute("cy", String(y));
        const scroll = panel.querySelector(".scroll");
        const svg = panel.querySelector("svg");
        const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
        scroll.scrollTop = y * scale - scroll.clientHeight / 2;
      }
      out.append(el("h4", absent ? "(no such step) after: " + step.line : step.line));
      out.append(el("p", step.at + (step.ttl === null ? "" : ", ttl " + step.ttl) + ", " + step.bytes + " bytes"));
      if (!absent && step.changes.length > 0) {
        const ul = el("ul");
        for (const c of step.changes) {
          const li = el("li", c[0] + " ");
          li.append(el("del", c[1]), " ", el("ins", c[2]));
          ul.append(li);
        }
        out.append(ul);
      }
      out.append(hexDump(step.hex, absent ? [] : step.changes));
    });
  }

  function go(to) {
    at = Math.max(0, Math.min(data.dirs[dir].rows.length - 1, to));
    show();
  }
  document.getElementById("first").onclick = () => go(0);
  document.getElementById("prev").onclick = () => go(at - 1);
  document.getElementById("next").onclick = () => go(at + 1);
  document.getElementById("last").onclick = () => go(Infinity);
  range.oninput = () => go(Number(range.value));
  document.querySelectorAll("[data-show]").forEach((b) => { b.onclick = () => { dir = Number(b.dataset.show); go(0); }; });
  document.addEventListener("keydown", (e) => {
    if (e.target === range || e.ctrlKey || e.metaKey || e.altKey) return;
    const keys = { ArrowRight: 1, l: 1, ArrowLeft: -1, h: -1 };
    if (e.key in keys) { go(at + keys[e.key]); e.preventDefault(); }
    else if (e.key === "Home") { go(0); e.preventDefault(); }
    else if (e.key === "End") { go(Infinity); e.preventDefault(); }
    else if (e.key === "r") { dir = 1 - dir; go(0); }
  });
  sections.forEach((s, k) => s.querySelectorAll(".panel").forEach((p, j) => p.querySelectorAll("[data-station]").forEach((g) => {
    g.addEventListener("click", () => {
      const n = Number(g.dataset.station);
      go(data.dirs[k].rows.findIndex((r) => r[j] >= 0 && data.dirs[k].walks[j].steps[r[j]].station === n));
    });
  })));
  addEventListener("resize", show);
  go(0);
})();
`;
