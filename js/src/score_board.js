// ScoreBoard: what one peer thinks of another, heartbeat by heartbeat, part by part.
import { connect, h, root } from "./dom.js";
import { bar } from "./mesh_drawer.js";

const SVG = "http://www.w3.org/2000/svg";
const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [270, 48, 132, 12, 26];
const NARROWEST = 330;
const SHOWN = 120; // heartbeats

const s = (tag, attributes, text) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
};

function render({ model, el }) {
  const page = root(el, "Score of a peer");
  const summary = h("span", { class: "lab-quiet lab-num" }, "waiting for the kernel");
  const judges = h("select", { "aria-label": "who judges", onchange: () => link.send({ type: "show", judge: judges.value }) });
  const judged = h("select", { "aria-label": "who is judged", onchange: () => link.send({ type: "show", peer: judged.value }) });
  const isLog = h("input", { type: "checkbox", onchange: draw });
  const chart = h("div", { class: "lab-score", tabindex: 0, role: "slider", "aria-label": "heartbeat. Arrow keys choose one, Escape follows the last." });
  const table = h("div", { class: "lab-score-parts" });
  const legend = h("div", { class: "lab-legend" });
  const rows = h("div", { class: "lab-sideways" });
  const list = h("details", {}, h("summary", {}, "Heartbeat by heartbeat as a table"), rows);
  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h("div", { class: "lab-bar" }, h("h3", { class: "lab-title" }, "Score of"), judged, h("label", {}, "in the eyes of", judges), h("span", { class: "lab-grow" }), h("label", {}, isLog, "compress large values")),
      h("div", { class: "lab-bar" }, summary),
      h("div", { class: "lab-score-grid" }, chart, table),
      legend,
      list,
    ),
  );

  let parts = [];
  let samples = []; // [time, beat, total, eight parts]
  let thresholds = {};
  let chosen = null; // a sample's moment; null: the last

  const link = connect(model, (message) => {
    if (message.type === "snapshot") {
      parts = message.parts;
      legend.replaceChildren(
        ...parts.map(([name, words], at) => {
          const chip = h("span", { class: "lab-chip lab-square" }, `${name} ${words}`);
          chip.style.setProperty("--layer", `var(--lab-p${at})`);
          return chip;
        }),
      );
    }
    samples = message.whole ? message.samples : samples.concat(message.samples);
    samples = samples.slice(-600);
    thresholds = message.thresholds;
    summary.textContent = message.summary;
    fill(judges, message.judges, message.judge);
    fill(judged, message.judged.map(([id, name, total]) => [id, `${name} (${total.toFixed(2)})`]), message.peer);
    draw();
  });

  function fill(choice, values, value) {
    if (document.activeElement === choice && choice.options.length === values.length && choice.value === value) return;
    choice.replaceChildren(...values.map(([id, words]) => h("option", { value: id }, words)));
    choice.value = value;
  }

  // -- the drawing ------------------------------------------------------------------------------

  const squeeze = (value) => (isLog.checked ? Math.sign(value) * Math.log10(1 + Math.abs(value)) : value);

  function draw() {
    const width = Math.max(NARROWEST, chart.clientWidth);
    const shown = samples.slice(-SHOWN);
    if (list.open) drawRows();
    if (!shown.length) return chart.replaceChildren(h("p", { class: "lab-quiet" }, "No heartbeat yet."));
    const focused = Math.max(0, chosen === null ? shown.length - 1 : shown.findIndex((one) => one[0] >= chosen));
    const ups = shown.map((one) => one.slice(3).reduce((sum, value) => sum + Math.max(0, value), 0));
    const downs = shown.map((one) => one.slice(3).reduce((sum, value) => sum + Math.min(0, value), 0));
    const totals = shown.map((one) => one[2]);
    const high = squeeze(Math.max(1, ...ups, ...totals));
    let low = squeeze(Math.min(0, ...downs, ...totals));
    const near = Object.entries(thresholds).filter(([, value]) => squeeze(value) <= high && (value >= 0 || squeeze(value) >= 1.25 * low - 0.5));
    low = Math.min(low, ...near.map(([, value]) => squeeze(value)));
    const y = (value) => TOP + ((HEIGHT - TOP - BOTTOM) * (high - squeeze(value))) / (high - low || 1);
    const step = Math.min(24, (width - LEFT - RIGHT) / shown.length);
    const x = (at) => LEFT + at * step;
    const svg = s("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" });
    const focus = s("rect", { x: x(focused), y: TOP, width: step, height: HEIGHT - TOP - BOTTOM, class: "lab-score-focus" });
    svg.append(focus);
    shown.forEach((one, at) => bars(svg, one, x(at) + step * 0.1, step * 0.8, y));
    svg.append(s("line", { x1: LEFT, x2: width - RIGHT, y1: y(0), y2: y(0), class: "lab-score-zero" }));
    svg.append(s("text", { x: LEFT - 6, y: y(0) + 4, "text-anchor": "end" }, "0"));
    let lowest = -Infinity; // words do not lie on each other
    for (const [name, value] of near.sort((a, b) => b[1] - a[1])) {
      svg.append(s("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: "lab-score-limit" }));
      const at = Math.max(y(value) + 4, lowest + 13);
      svg.append(s("text", { x: width - RIGHT + 5, y: at }, `${name} ${value}`));
      lowest = at;
    }
    const ends = new Set([Math.max(...ups, ...totals), Math.min(...downs, ...totals)]);
    for (const value of ends) if (Math.abs(y(value) - y(0)) > 13) svg.append(s("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(Math.abs(value) < 10 ? 1 : 0)));
    const line = shown.map((one, at) => `${(x(at) + step / 2).toFixed(1)},${y(one[2]).toFixed(1)}`).join(" ");
    svg.append(s("polyline", { points: line, class: "lab-score-total" }));
    svg.append(s("text", { x: LEFT, y: HEIGHT - 8 }, `heartbeat ${shown[0][1]}`));
    svg.append(s("text", { x: x(shown.length - 1) + step, y: HEIGHT - 8, "text-anchor": shown.length > 8 ? "end" : "start" }, String(shown[shown.length - 1][1])));
    svg.addEventListener("click", (event) => {
      const box = svg.getBoundingClientRect();
      const at = Math.floor((((event.clientX - box.left) * width) / box.width - LEFT) / step);
      if (shown[at]) choose(shown[at][0]);
    });
    chart.replaceChildren(svg);
    const one = shown[focused];
    chart.setAttribute("aria-valuemin", shown[0][1]);
    chart.setAttribute("aria-valuemax", shown[shown.length - 1][1]);
    chart.setAttribute("aria-valuenow", one[1]);
    chart.setAttribute("aria-valuetext", `heartbeat ${one[1]}, score ${one[2].toFixed(2)}`);
    drawParts(one);
    return undefined;
  }

  // One heartbeat: what speaks for the peer upwards, what speaks against it downwards.
  function bars(svg, sample, left, width, y) {
    let [up, down] = [0, 0];
    sample.slice(3).forEach((value, at) => {
      if (!value) return;
      const [a, b] = value > 0 ? [up, (up += value)] : [down, (down += value)];
      const top = Math.min(y(a), y(b));
      svg.append(s("rect", { x: left, y: top, width, height: Math.max(0.8, Math.abs(y(a) - y(b))), style: `fill:var(--lab-p${at})` }));
    });
  }

  function drawParts(sample) {
    const values = sample.slice(3);
    const largest = Math.max(1, ...values.map(Math.abs));
    table.replaceChildren(
      h(
        "table",
        {},
        h("caption", {}, `Heartbeat ${sample[1]}${chosen === null ? ", the last" : ""}, at ${sample[0].toFixed(1)} s`),
        h(
          "tbody",
          {},
          parts.map(([name, words], at) => {
            const row = h("tr", {}, h("th", { scope: "row", title: words }, name), h("td", {}, words), h("td", {}, bar(values[at], largest)));
            row.style.setProperty("--layer", `var(--lab-p${at})`);
            return row;
          }),
          h("tr", {}, h("th", { scope: "row" }, "score"), h("td", {}, "the sum"), h("td", { class: sample[2] < 0 ? "lab-num lab-bad" : "lab-num" }, sample[2].toFixed(2))),
        ),
      ),
    );
  }

  function drawRows() {
    const head = ["heartbeat", "score", ...parts.map(([name]) => name)];
    rows.replaceChildren(
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, samples.slice(-SHOWN).reverse().map((one) => h("tr", {}, h("td", {}, String(one[1])), one.slice(2).map((value) => h("td", { class: "lab-num" }, value.toFixed(2)))))),
      ),
    );
  }
  list.addEventListener("toggle", () => list.open && drawRows());

  // -- choosing a heartbeat ---------------------------------------------------------------------

  function choose(moment) {
    chosen = moment === samples[samples.length - 1]?.[0] ? null : moment;
    draw();
  }

  chart.addEventListener("keydown", (event) => {
    const shown = samples.slice(-SHOWN);
    if (!shown.length) return;
    const at = chosen === null ? shown.length - 1 : shown.findIndex((one) => one[0] >= chosen);
    const goal = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: shown.length - 1, Escape: shown.length - 1 }[event.key];
    if (goal === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    choose(shown[Math.min(Math.max(goal, 0), shown.length - 1)][0]);
  });

  let width = 0;
  const resizing = new ResizeObserver(() => {
    if (chart.clientWidth === width) return;
    width = chart.clientWidth;
    draw();
  });
  resizing.observe(chart);

  return () => {
    resizing.disconnect();
    link.close();
  };
}

export default { render };
