// DialRace: one dial, a lane for each address. Break an address, and the race is run again.
import { connect, h, root } from "./dom.js";

const STATES = [
  ["works", "works"],
  ["refuses", "refuses"],
  ["silent", "is silent"],
];
const ORDERS = [
  ["staggered", "With head starts"],
  ["at once", "All at once"],
  ["one by one", "One by one"],
];
const SOON = 2; // seconds
const OUTCOMES = {
  won: "✓ connected",
  failed: "✕ failed",
  "called off": "called off",
  "not needed": "not needed",
  running: "under way",
};

function render({ model, el }) {
  const page = root(el, "Race between the addresses of a peer");
  const status = h("div", { class: "lab-verdict", role: "status" }, "waiting for the kernel");
  const lanes = h("div", { class: "lab-dial" });
  const table = h("div", { class: "lab-checks" });
  const controls = h("div", { class: "lab-bar", hidden: true });
  const list = h("details", {}, h("summary", {}, "The race as a table"), table);
  let told = null;

  const link = connect(model, (message) => {
    if (message.type === "race") {
      told = message;
      draw();
    } else if (message.type === "problem") status.textContent = message.text;
  });

  const slider = (name, label, max, step) => {
    const input = h("input", {
      type: "range",
      class: "lab-short",
      min: 0,
      max,
      step,
      "data-slider": name,
      onkeydown: (event) => event.stopPropagation(),
      oninput: () => {
        value.textContent = shownSlider(name, Number(input.value));
        link.send({ type: name, value: Number(input.value) });
      },
    });
    const value = h("span", { class: "lab-num", style: "min-width:4.2em" });
    return { input, value, element: h("label", {}, label, input, value) };
  };
  const delay = slider("delay", "One way", 500, 10);
  const loss = slider("loss", "Loss", 50, 1);
  const udp = h(
    "button",
    { type: "button", "data-udp": true, onclick: () => link.send({ type: "udp", value: !told.scene.udp_blocked }) },
    "UDP blocked",
  );
  const orders = ORDERS.map(([name, label]) =>
    h("button", { type: "button", "data-order": name, onclick: () => link.send({ type: "order", value: name }) }, label),
  );
  controls.append(
    delay.element,
    loss.element,
    udp,
    h("span", { class: "lab-group", role: "group", "aria-label": "Order of the dials" }, orders),
    h("button", { type: "button", "data-again": true, title: "The same once more, with other luck", onclick: () => link.send({ type: "again" }) }, "Dial again"),
    h("button", { type: "button", "data-reset": true, onclick: () => link.send({ type: "reset" }) }, "Mend all"),
  );
  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h("div", { class: "lab-bar" }, h("h3", { class: "lab-title" }, "Dial"), h("span", { class: "lab-quiet" }, "a lane for each address; thin: reaching the other side, thick: negotiation and handshake")),
      controls,
      status,
      lanes,
      list,
    ),
  );

  // -- drawing ----------------------------------------------------------------------------------

  function draw() {
    status.className = told.lanes.some((lane) => lane.outcome === "won") ? "lab-verdict" : "lab-verdict lab-no";
    status.textContent = told.summary;
    drawControls();
    const span = spanOf(told);
    const focused = document.activeElement?.dataset?.lane;
    lanes.replaceChildren(h("span", { class: "lab-dial-corner" }), drawAxis(span), h("span"));
    for (const lane of told.lanes)
      lanes.append(
        drawHead(lane),
        drawTrack(lane, span),
        h("div", { class: "lab-dial-outcome", "data-outcome": lane.outcome, "data-of": lane.name || lane.addr }, wordOf(lane)),
      );
    if (focused) lanes.querySelector(`[data-lane="${focused}"]`)?.focus({ preventScroll: true });
    drawTable();
  }

  function drawControls() {
    const { scene } = told;
    controls.hidden = scene === null;
    if (scene === null) return;
    for (const [part, name] of [
      [delay, "delay"],
      [loss, "loss"],
    ]) {
      if (document.activeElement !== part.input) part.input.value = scene[name];
      part.value.textContent = shownSlider(name, Number(part.input.value));
      part.input.setAttribute("aria-valuetext", part.value.textContent);
    }
    udp.setAttribute("aria-pressed", String(scene.udp_blocked));
    for (const button of orders) button.setAttribute("aria-pressed", String(button.dataset.order === scene.order));
  }

  function drawHead(lane) {
    const head = h("div", { class: "lab-dial-head" }, h("span", { class: "lab-mono" }, lane.addr));
    const state = told.scene?.states[lane.name];
    if (state === undefined) return head;
    const choice = h(
      "select",
      {
        "data-lane": lane.name,
        "aria-label": `${lane.name}: this address`,
        onkeydown: (event) => event.stopPropagation(), // JupyterLab has other plans for arrows
        onchange: (event) => link.send({ type: "lane", name: lane.name, state: event.target.value }),
      },
      STATES.map(([value, label]) => h("option", { value, selected: value === state }, label)),
    );
    head.append(choice);
    return head;
  }

  function drawTrack(lane, span) {
    const track = h("div", { class: "lab-dial-track", "data-outcome": lane.outcome, "data-track": lane.name || lane.addr });
    const place = (seconds) => `${(100 * Math.min(seconds / span, 1)).toFixed(2)}%`;
    for (const [stage, from, to] of lane.stages) {
      const width = (100 * Math.max(to - from, 0)) / span;
      track.append(h("i", { "data-stage": stage, title: `${stage}: ${ms(from)} to ${ms(to)}`, style: `left:${place(from)}; width:${width.toFixed(2)}%` }));
    }
    if (lane.start === null && lane.planned !== null && lane.planned <= span)
      track.append(h("i", { "data-stage": "planned", title: `its turn: ${ms(lane.planned)}`, style: `left:${place(lane.planned)}` }));
    return track;
  }

  function wordOf(lane) {
    if (lane.outcome === "failed") return `${OUTCOMES.failed}: ${lane.cause.split(":")[0]}`;
    if (lane.outcome === "not needed" && lane.planned !== null) return `not needed (turn at ${ms(lane.planned)})`;
    if (lane.end !== null && lane.outcome !== "running") return `${OUTCOMES[lane.outcome]} at ${ms(lane.end)}`;
    return OUTCOMES[lane.outcome];
  }

  function drawAxis(span) {
    const axis = h("div", { class: "lab-dial-axis", "aria-hidden": "true" });
    for (const share of [0, 0.5, 1]) axis.append(h("span", { style: `left:${100 * share}%` }, ms(share * span)));
    return axis;
  }

  function drawTable() {
    const row = (lane) =>
      h(
        "tr",
        {},
        h("td", { class: "lab-mono" }, lane.addr),
        h("td", {}, lane.transport),
        h("td", { class: "lab-num" }, lane.start === null ? `(${lane.planned === null ? "never" : ms(lane.planned)})` : ms(lane.start)),
        h("td", { class: "lab-num" }, lane.end === null ? "" : ms(lane.end)),
        h("td", {}, lane.cause ? `${lane.outcome}: ${lane.cause}` : lane.outcome),
      );
    const head = ["address", "transport", "starts", "ends", "outcome"].map((name) => h("th", { scope: "col" }, name));
    table.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, told.lanes.map(row))));
  }

  return () => link.close();
}

// The whole race, and the turns of those that were not needed, if they come soon.
function spanOf(race) {
  const turns = race.lanes.map((lane) => lane.planned ?? 0).filter((turn) => turn <= SOON);
  return 1.02 * Math.max(race.seconds, ...turns, 0.01);
}

function shownSlider(name, value) {
  return name === "delay" ? `${value} ms` : `${value} %`;
}

function ms(seconds) {
  return seconds >= 1 ? `${seconds.toFixed(2)} s` : `${Math.round(1000 * seconds)} ms`;
}

export default { render };
