// LookupRace: the same lookups with other settings, a lane for each setting.
import { connect, h, root, s } from "./dom.js";

const SIZES = [10, 50, 100, 200, 500, 1000, 2000, 5000, 10000];

function render({ model, el }) {
  const page = root(el, "Lookups side by side");
  let told = null;
  const status = h("div", { class: "lab-verdict", role: "status" }, "waiting for the kernel");
  const lanes = h("div", { class: "lab-race" });
  const table = h("div", { class: "lab-checks" });
  const link = connect(model, (message) => {
    if (message.type === "race") {
      told = message;
      draw();
    } else if (message.type === "problem") status.textContent = message.text;
  });

  const sliders = {
    alpha: slider("alpha", "α", 1, 40, 1, String, (n) => n, (n) => n),
    k: slider("k", "k", 1, 40, 1, String, (n) => n, (n) => n),
    gone: slider("gone", "Gone", 0, 80, 5, (n) => `${n} %`, (n) => n, (n) => Math.round(100 * n)),
    peers: slider("peers", "Peers", 0, SIZES.length - 1, 1, (n) => SIZES[n].toLocaleString("en"), (n) => SIZES[n], (n) => Math.max(0, SIZES.findIndex((size) => size >= n))),
  };
  const keep = h("button", { type: "button", "data-keep": true, title: "Leave this lane as it is; the sliders get a new one", onclick: () => link.send({ type: "keep" }) }, "Keep this lane");

  function slider(name, label, min, max, step, shown, out, back) {
    const text = h("span", { class: "lab-num lab-xor-value" });
    const input = h("input", {
      type: "range",
      class: "lab-short",
      min,
      max,
      step,
      "data-slider": name,
      onkeydown: (event) => event.stopPropagation(),
      oninput: () => {
        text.textContent = shown(Number(input.value));
        link.send({ type: name, value: out(Number(input.value)) });
      },
    });
    const set = (value) => {
      if (document.activeElement !== input) input.value = back(value);
      text.textContent = shown(Number(input.value));
      input.setAttribute("aria-valuetext", text.textContent);
    };
    return { set, element: h("label", {}, label, input, text) };
  }

  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h("div", { class: "lab-bar" }, h("h3", { class: "lab-title" }, "Lookups side by side"), h("span", { class: "lab-quiet" }, "one lookup drawn, a bar for each request; the numbers are means of all")),
      h("div", { class: "lab-bar" }, Object.values(sliders).map((one) => one.element), keep, h("button", { type: "button", "data-again": true, title: "Other peers, other keys", onclick: () => link.send({ type: "again" }) }, "Others")),
      status,
      lanes,
      table,
    ),
  );

  function draw() {
    status.textContent = told.summary;
    for (const [name, one] of Object.entries(sliders)) one.set(told.scene[name]);
    keep.disabled = !told.can_keep;
    const span = 1.02 * Math.max(...told.lanes.map((lane) => lane.seconds), 0.01);
    lanes.replaceChildren(...told.lanes.map((lane, n) => drawLane(lane, span, n === told.lanes.length - 1)));
    table.replaceChildren(
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, told.head.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, told.lanes.map((lane) => h("tr", {}, lane.row.map((cell, n) => h("td", { class: n ? "lab-num" : "" }, cell))))),
      ),
    );
  }

  function drawLane(lane, span, isOpen) {
    const rows = Math.max(1, ...lane.steps.map(([place]) => place + 1));
    const high = Math.max(3, Math.min(12, 64 / rows));
    const svg = s("svg", { viewBox: `0 0 600 ${rows * high + 2}`, preserveAspectRatio: "none", role: "img", "aria-label": `${lane.name}: ${lane.steps.length} requests in ${lane.seconds.toFixed(2)} seconds`, style: `height:${rows * high + 2}px` });
    for (const [place, from, to, hop, failed] of lane.steps) {
      const bar = s("rect", { x: (600 * from) / span, y: place * high + 1, width: Math.max(1.5, (600 * (to - from)) / span - 1), height: high - 1, class: failed ? "lab-xor-bar lab-xor-failed" : "lab-xor-bar", "data-hop": hop ? (hop - 1) % 6 : 5 });
      bar.append(s("title", {}, document.createTextNode(`${hop ? `hop ${hop}` : "not waited for"}: ${Math.round(1000 * from)} to ${Math.round(1000 * to)} ms${failed ? ", no answer" : ""}`)));
      svg.append(bar);
    }
    svg.append(s("line", { x1: (600 * lane.seconds) / span, x2: (600 * lane.seconds) / span, y1: 0, y2: rows * high + 2, class: "lab-xor-now" }));
    return h("div", { class: isOpen ? "lab-race-lane lab-race-open" : "lab-race-lane", "data-lane": lane.name }, h("span", {}, lane.name), svg, h("span", { class: "lab-num" }, `${lane.seconds.toFixed(2)} s`));
  }

  return () => link.close();
}

export default { render };
