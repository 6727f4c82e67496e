// HolePunchTimeline: A, the relay and B as lanes; what was said, measured and dialed when.
import { connect, h, root, s } from "./dom.js";

const WIDTH = 780;
const LEFT = 84;
const RIGHT = 26;
const LANES = [46, 128, 210];
const BOTTOM = 252;
const TICK = 60; // pixels between two times that are written down
const WAITS = ["not at all", "half a round trip", "a whole round trip"];
const LEGEND = [
  ["CONNECT", "CONNECT, and the round trip that it measures"],
  ["SYNC", "SYNC, and half of the round trip"],
  ["packet", "straight to the other side, and the dials"],
  ["crossing", "where the first two packets cross"],
  ["direct", "direct connection"],
  ["closed", "relayed connection closed"],
];

function render({ model, el }) {
  const page = root(el, "A hole being punched, in three lanes");
  const status = h("div", { class: "lab-verdict", role: "status" }, "waiting for the kernel");
  const picture = s("svg", { viewBox: `0 0 ${WIDTH} ${BOTTOM + 8}`, class: "lab-punch-svg", role: "group", "aria-label": "Marks in the order of time; arrow keys go from one to the next" });
  const said = h("div", { class: "lab-punch-said", "aria-live": "polite" });
  const tries = h("span", { class: "lab-group", role: "group", "aria-label": "Which try is shown" });
  const table = h("div", { class: "lab-checks" });
  let told = null;
  let attempt = 0; // 0: all
  let chosen = 0;

  const link = connect(model, (message) => {
    if (message.type === "story") {
      told = message;
      if (attempt > told.attempts) attempt = 0;
      draw();
    } else if (message.type === "problem") status.textContent = message.text;
  });

  // -- what can be changed ----------------------------------------------------------------------

  const slider = (name, label, min, max, step) => {
    const value = h("span", { class: "lab-num", style: "min-width:4.2em" });
    const input = h("input", {
      type: "range",
      class: "lab-short",
      min,
      max,
      step,
      "data-slider": name,
      onkeydown: (event) => event.stopPropagation(),
      oninput: () => {
        value.textContent = `${input.value} ms`;
        link.send({ type: name, value: Number(input.value) });
      },
    });
    return { name, input, value, element: h("label", {}, label, input, value) };
  };
  const sliders = [
    slider("a_relay", "A to relay", 1, 400, 1),
    slider("b_relay", "B to relay", 1, 400, 1),
    slider("direct", "A to B", 1, 400, 1),
    slider("jitter", "Jitter", 0, 100, 5),
  ];
  const choice = (name, label, options, changed) => {
    const select = h("select", { "data-choice": name, onkeydown: (event) => event.stopPropagation(), onchange: (event) => changed(event.target.value) });
    return { select, options, element: h("label", {}, label, select) };
  };
  const routers = ["a", "b"].map((side) =>
    choice(side, `Router of ${side.toUpperCase()}`, null, (value) => link.send({ type: "router", side, value })),
  );
  const wait = choice("wait", "After SYNC, B waits", WAITS, (value) => link.send({ type: "wait", value: Number(value) }));
  wait.select.append(...WAITS.map((text, at) => h("option", { value: at }, text)));
  const kinds = [
    ["tcp", "TCP"],
    ["quic", "QUIC"],
  ].map(([kind, label]) => h("button", { type: "button", "data-kind": kind, onclick: () => link.send({ type: "kind", value: kind }) }, label));
  const controls = h(
    "div",
    { class: "lab-bar", hidden: true },
    h("span", { class: "lab-group", role: "group", "aria-label": "Transport" }, kinds),
    routers.map((one) => one.element),
    wait.element,
    sliders.map((one) => one.element),
    h("button", { type: "button", "data-again": true, title: "The same once more, with other luck", onclick: () => link.send({ type: "again" }) }, "Again"),
    h("button", { type: "button", "data-reset": true, onclick: () => link.send({ type: "reset" }) }, "Reset"),
  );
  const legend = h(
    "div",
    { class: "lab-bar lab-quiet", "aria-label": "What the colours mean" },
    LEGEND.map(([kind, text]) => h("span", { class: "lab-punch-key" }, h("i", { "data-mark": kind }), text)),
  );
  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h("div", { class: "lab-bar" }, h("h3", { class: "lab-title" }, "Hole punching"), tries),
      controls,
      status,
      picture,
      said,
      legend,
      h("details", {}, h("summary", {}, "All of it, in the order of time"), table),
    ),
  );

  // -- drawing ----------------------------------------------------------------------------------

  const visible = () => told.marks.filter((mark) => attempt === 0 || mark.attempt === attempt);

  function draw() {
    status.className = told.outcome === "failed" ? "lab-verdict lab-no" : "lab-verdict";
    status.textContent = told.summary;
    drawControls();
    drawTries();
    drawPicture();
    drawTable();
  }

  function drawControls() {
    const { scene } = told;
    controls.hidden = scene === null;
    if (scene === null) return;
    for (const { name, input, value } of sliders) {
      if (document.activeElement !== input) input.value = scene[name];
      value.textContent = `${input.value} ms`;
      input.setAttribute("aria-valuetext", value.textContent);
    }
    routers.forEach(({ select }, at) => {
      if (select.childElementCount === 0) select.append(...scene.routers.map((name) => h("option", { value: name }, name)));
      select.value = scene[at === 0 ? "a" : "b"];
    });
    wait.select.value = String(scene.wait);
    for (const button of kinds) button.setAttribute("aria-pressed", String(button.dataset.kind === scene.kind));
  }

  function drawTries() {
    const focused = document.activeElement?.dataset?.try;
    tries.style.display = told.attempts < 2 ? "none" : "";
    tries.replaceChildren(
      ...[...Array(told.attempts + 1).keys()].map((number) =>
        h(
          "button",
          {
            type: "button",
            "data-try": String(number),
            "aria-pressed": String(number === attempt),
            onclick: () => {
              attempt = number;
              chosen = 0;
              draw();
            },
          },
          number === 0 ? "All tries" : `Try ${number}`,
        ),
      ),
    );
    if (focused !== undefined) tries.querySelector(`[data-try="${focused}"]`)?.focus({ preventScroll: true });
  }

  function drawPicture() {
    const scale = told.scales[attempt] ?? [];
    const had = picture.contains(document.activeElement);
    picture.replaceChildren();
    LANES.forEach((y, lane) => {
      picture.append(
        s("line", { x1: LEFT, y1: y, x2: WIDTH - RIGHT, y2: y, class: "lab-punch-lane" }),
        s("text", { x: 6, y: y + 4, class: "lab-punch-name" }, told.names[lane]),
      );
    });
    if (scale.length === 0) return drawSaid([]);
    const x = placer(scale);
    const marks = visible();
    chosen = Math.min(chosen, Math.max(marks.length - 1, 0));
    marks.forEach((mark, at) => picture.append(drawMark(mark, at, x)));
    drawTimes(scale, x);
    drawSaid(marks);
    if (had) picture.querySelector(`[data-at="${chosen}"]`)?.focus({ preventScroll: true });
  }

  function drawMark(mark, at, x) {
    const group = s("g", {
      class: "lab-punch-mark",
      "data-at": at,
      "data-mark": mark.kind,
      "data-bad": mark.bad,
      "data-guess": mark.guess,
      role: "img",
      tabindex: at === chosen ? 0 : -1,
      "aria-label": `${ms(mark.times[0])}: ${mark.text}`,
    });
    group.addEventListener("focus", () => choose(at, false));
    group.addEventListener("click", () => choose(at, true));
    group.addEventListener("keydown", (event) => move(event, at));
    if (mark.shape === "arrow") drawArrow(group, mark, x);
    else if (mark.shape === "span") drawSpan(group, mark, x);
    else drawMoment(group, mark, x);
    return group;
  }

  function drawArrow(group, mark, x) {
    const [from, to] = mark.lanes.map((lane) => LANES[lane]);
    const ys = mark.times.length === 3 ? [from, LANES[1], to] : [from, to];
    const points = mark.times.map((time, at) => `${x(time).toFixed(1)},${ys[at]}`).join(" ");
    const tip = x(mark.times.at(-1));
    const way = to > from ? 1 : -1;
    group.append(
      s("polyline", { points, class: "lab-punch-hit" }),
      s("polyline", { points, class: "lab-punch-line" }),
      s("polyline", { points: `${tip - 4},${to - 7 * way} ${tip},${to} ${tip + 4},${to - 7 * way}`, class: "lab-punch-tip" }),
    );
    if (mark.kind !== "packet") {
      const middle = mark.times.length === 3 ? x(mark.times[1]) : (x(mark.times[0]) + tip) / 2;
      group.append(s("text", { x: middle + 5, y: LANES[1] + (way > 0 ? -7 : 16), class: "lab-punch-word" }, mark.kind));
    }
  }

  function drawSpan(group, mark, x) {
    const left = x(mark.times[0]);
    const y = LANES[mark.lanes[0]] + (mark.lanes[0] === 2 ? 6 : -16);
    const width = Math.max(x(mark.times[1]) - left, 3);
    group.append(s("rect", { x: left, y, width, height: 10, class: "lab-punch-bar" }));
    const word = { "round trip": "round trip", half: "waits", dial: "dials" }[mark.kind];
    if (width > 7 * word.length) group.append(s("text", { x: left + 3, y: y + (mark.lanes[0] === 2 ? 21 : -4), class: "lab-punch-word" }, word));
  }

  function drawMoment(group, mark, x) {
    const at = x(mark.times[0]);
    if (mark.kind === "crossing" && !mark.bad) {
      const y = LANES[0] + mark.times[1] * (LANES[2] - LANES[0]);
      group.append(s("circle", { cx: at, cy: y, r: 7, class: "lab-punch-ring" }));
    } else if (mark.kind === "crossing" || mark.kind === "given up") {
      const y = LANES[mark.lanes[0]];
      group.append(s("path", { d: `M${at - 5} ${y - 5}l10 10m0 -10l-10 10`, class: "lab-punch-line" }));
    } else if (mark.kind === "closed") {
      group.append(s("rect", { x: at - 5, y: LANES[mark.lanes[0]] - 5, width: 10, height: 10, class: "lab-punch-dot" }));
    } else group.append(s("circle", { cx: at, cy: LANES[mark.lanes[0]], r: 6, class: "lab-punch-dot" }));
  }

  function drawTimes(scale, x) {
    let last = -TICK;
    for (const [time] of scale) {
      if (x(time) - last < TICK || x(time) > WIDTH - RIGHT - 12) continue;
      picture.append(s("text", { x: x(time), y: BOTTOM, class: "lab-punch-time" }, ms(time)));
      last = x(time);
    }
    scale.slice(1).forEach(([time], at) => {
      const before = scale[at][0];
      if (time - before > told.long) {
        const middle = (x(before) + x(time)) / 2;
        picture.append(s("text", { x: middle, y: LANES[1] + 4, class: "lab-punch-cut", "aria-hidden": true }, "//"));
      }
    });
  }

  function drawSaid(marks) {
    const mark = marks[chosen];
    const about = mark?.guess ? "about " : "";
    said.textContent = mark === undefined ? "Nothing has happened yet." : `${chosen + 1} of ${marks.length} · ${about}${ms(mark.times[0])} · ${mark.text}.`;
  }

  function drawTable() {
    const row = (mark) =>
      h("tr", {}, h("td", { class: "lab-num" }, `${mark.guess ? "about " : ""}${ms(mark.times[0])}`), h("td", { class: "lab-num" }, mark.attempt || ""), h("td", {}, mark.text));
    const head = ["time", "try", "what"].map((name) => h("th", { scope: "col" }, name));
    table.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, visible().map(row))));
  }

  // -- going from mark to mark --------------------------------------------------------------------

  function choose(at, focus) {
    if (at !== chosen) {
      picture.querySelector(`[data-at="${chosen}"]`)?.setAttribute("tabindex", "-1");
      chosen = at;
    }
    const mark = picture.querySelector(`[data-at="${at}"]`);
    mark?.setAttribute("tabindex", "0");
    if (focus) mark?.focus({ preventScroll: true });
    drawSaid(visible());
  }

  function move(event, at) {
    const last = visible().length - 1;
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab has other plans for arrows
    choose(Math.min(Math.max(next, 0), last), true);
  }

  return () => link.close();
}

/** From a time to its place: straight lines between the moments that the kernel has placed. */
function placer(scale) {
  return (time) => {
    let before = scale[0];
    for (const after of scale) {
      if (after[0] >= time) {
        const span = after[0] - before[0] || 1;
        return LEFT + (before[1] + ((after[1] - before[1]) * (time - before[0])) / span) * (WIDTH - LEFT - RIGHT);
      }
      before = after;
    }
    return WIDTH - RIGHT;
  };
}

function ms(seconds) {
  return Math.abs(seconds) >= 1 ? `${seconds.toFixed(2)} s` : `${Math.round(1000 * seconds)} ms`;
}

export default { render };
