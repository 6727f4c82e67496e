// StreamScope: a lane for each stream, a block for each frame, a gauge for each window.
import { bytes, connect, h, plural, root } from "./dom.js";
import { drawExplanation, drawMessage } from "./message.js";
import { drawTrack, MAX_BLOCKS } from "./stream_track.js";

const MAX_LANES = 40; // shown of one connection
const ALIVE = ["open", "half closed"];
const WAYS = ["→", "←"];

function render({ model, el }) {
  const page = root(el, "Streams of connections");
  const status = h("span", { class: "lab-quiet lab-num" }, "waiting for the kernel");
  const body = h("div", { class: "lab-scopes" });
  const detail = h("div", { class: "lab-detail", hidden: true });
  const explanation = h("div", { class: "lab-explain", "aria-live": "polite" });
  const colours = new Map(); // protocol → its number
  const legend = h("div", { class: "lab-legend", "aria-label": "Protocols" });
  const frozen = h(
    "button",
    { type: "button", "aria-pressed": "false", onclick: () => freeze(!isFrozen) },
    "Pause",
  );
  frozen.title = "Stop the picture; what happens meanwhile is not lost";
  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h(
        "div",
        { class: "lab-bar" },
        h("h3", { class: "lab-title" }, "Streams"),
        status,
        h("span", { class: "lab-grow" }),
        frozen,
      ),
      legend,
      body,
      detail,
      explanation,
    ),
  );
  explanation.hidden = true;
  const bench = makeBench();
  legend.before(bench.element);
  const panels = new Map();
  let isFrozen = false;
  let opened = null; // the block that is opened: [panel, number]

  const link = connect(model, (message) => {
    switch (message.type) {
      case "snapshot":
        panels.clear();
        take(message);
        break;
      case "update":
        take(message);
        break;
      case "block":
        if (opened && opened[0] === message.panel && opened[1] === message.block) show(message);
        break;
      case "result": {
        const panel = panels.get(message.panel);
        if (panel) {
          panel.result.className = message.ok ? "lab-good" : "lab-bad";
          panel.result.textContent = message.text;
        }
        break;
      }
    }
  });

  function take(message) {
    status.textContent = message.summary;
    bench.show(message.bench);
    for (const told of message.panels) {
      const panel = panels.get(told.number) ?? makePanel(told.number);
      Object.assign(panel.told, told);
      panel.blocks.push(...told.blocks);
      if (panel.blocks.length > MAX_BLOCKS) panel.blocks.splice(0, panel.blocks.length - MAX_BLOCKS);
      panel.skipped += told.skipped;
      for (const lane of told.lanes) panel.lanes.set(lane.id, lane);
      trim(panel);
      panel.isNew = true;
    }
    for (const number of panels.keys()) if (!message.present.includes(number)) panels.delete(number);
    if (!isFrozen) redraw();
  }

  // Streams that are over make room for others.
  function trim(panel) {
    for (const [id, lane] of panel.lanes) {
      if (panel.lanes.size <= MAX_LANES) return;
      if (!ALIVE.includes(lane.state) && id !== panel.chosen) panel.lanes.delete(id);
    }
    for (const id of panel.lanes.keys()) {
      if (panel.lanes.size <= MAX_LANES) return;
      if (id !== panel.chosen) panel.lanes.delete(id);
    }
  }

  function makePanel(number) {
    const panel = {
      told: {},
      blocks: [],
      lanes: new Map(),
      chosen: null, // a stream's number
      skipped: 0,
      rows: new Map(),
      isNew: true,
      title: h("h4", { class: "lab-title" }),
      about: h("span", { class: "lab-quiet lab-num" }),
      result: h("span", { role: "status" }),
      sides: h("span"),
      table: h("div"),
    };
    panel.pokes = makePokes(panel, number);
    panel.list = h("div", { class: "lab-lanes", role: "listbox", tabindex: 0, "aria-label": "Streams" });
    panel.list.addEventListener("keydown", (event) => onKey(event, panel, number));
    panel.details = h("details", {}, h("summary", {}, "The streams as a table"), panel.table);
    panel.details.addEventListener("toggle", () => panel.details.open && drawTable(panel));
    panel.element = h(
      "section",
      { class: "lab-scope" },
      h("div", { class: "lab-bar" }, panel.title, panel.about),
      panel.pokes.element,
      h(
        "div",
        { class: "lab-lane lab-lane-head", "aria-hidden": "true" },
        h("span", {}, "stream"),
        panel.sides,
        h("span", { class: "lab-gauge" }, h("span", { class: "lab-way" }), ["waits", "window left", "unread"].map((name) => h("span", { class: "lab-meter" }, name))),
      ),
      panel.list,
      panel.details,
    );
    panels.set(number, panel);
    return panel;
  }

  // For peers that were set up for this: what they are given, and both readers at once.
  function makeBench() {
    const choose = (label) =>
      h("select", { "aria-label": label, onchange: () => change() });
    const [windows, frames] = [choose("window of a yamux stream"), choose("longest frame")];
    const change = () =>
      link.send({ type: "bench", window: Number(windows.value), frame: Number(frames.value) });
    const act = (what) => () => link.send({ type: "bench", what });
    const element = h(
      "div",
      { class: "lab-bar", role: "group", "aria-label": "Both pairs of peers", hidden: true },
      h("button", { type: "button", class: "lab-primary", "data-bench": "stop", onclick: act("stop") }, "Stop both readers"),
      h("button", { type: "button", "data-bench": "go", onclick: act("go") }, "Let both read on"),
      h("label", {}, "Window", windows),
      h("label", {}, "Frame", frames),
      h("button", { type: "button", "data-bench": "again", onclick: () => change() }, "Begin anew"),
    );
    const kib = (size) => (size >= 1 << 20 ? `${size / (1 << 20)} MiB` : `${size / 1024} KiB`);
    let known = "";
    const show = (settings) => {
      element.hidden = !settings;
      if (!settings || JSON.stringify(settings) === known) return;
      known = JSON.stringify(settings);
      for (const [select, sizes, value] of [
        [windows, settings.windows, settings.window],
        [frames, settings.frames, settings.frame],
      ]) {
        select.replaceChildren(...sizes.map((size) => h("option", { value: String(size) }, kib(size))));
        select.value = String(value);
      }
    };
    return { element, show };
  }

  function makePokes(panel, number) {
    const send = (what, end) => {
      if (what !== "burst" && panel.chosen === null) {
        panel.result.className = "lab-bad";
        panel.result.textContent = "Choose a stream first: click it, or use the arrow keys.";
        return;
      }
      link.send({ type: "poke", panel: number, lane: panel.chosen ?? 0, what, end });
    };
    const button = (what, words, title) =>
      h("button", { type: "button", "data-poke": what, title, onclick: () => send(what) }, words);
    const stop = button("stop", "Stop reading", "The application that reads this stream does something else");
    const go = button("go", "Read on", "It reads again");
    const fin = button("fin", "FIN", "The side named first will write no more: half close");
    const rst = button("rst", "RST", "The side named first drops the stream");
    const burst = button("burst", "Open 300 streams", "and say nothing on them: a backlog of 256 fills");
    const element = h(
      "div",
      { class: "lab-bar", role: "group", "aria-label": "Pokes" },
      h("span", { class: "lab-group" }, stop, go),
      fin,
      rst,
      burst,
      panel.result,
    );
    return { element, all: [stop, go, fin, rst], burst };
  }

  function freeze(value) {
    isFrozen = value;
    frozen.setAttribute("aria-pressed", String(value));
    frozen.textContent = value ? "Go on" : "Pause";
    if (!value) redraw();
  }

  // The session itself comes last.
  const byNumber = (a, b) => (a || Infinity) - (b || Infinity) || 0;

  // -- drawing ----------------------------------------------------------------------------------

  function redraw() {
    const elements = [...panels.values()].map((panel) => panel.element);
    const isSame =
      elements.length === body.children.length && elements.every((one, at) => one === body.children[at]);
    if (!isSame) body.replaceChildren(...elements);
    if (!elements.length)
      body.replaceChildren(h("p", { class: "lab-quiet" }, "No connection yet: connect, and open a stream."));
    for (const [number, panel] of panels) if (panel.isNew) drawPanel(number, panel);
  }

  function tint(protocol) {
    if (!protocol) return "var(--lab-text2)";
    if (!colours.has(protocol)) {
      colours.set(protocol, colours.size % 8);
      const chip = h("span", { class: "lab-chip" }, protocol);
      chip.style.setProperty("--layer", `var(--lab-p${colours.get(protocol)})`);
      legend.append(chip);
    }
    return `var(--lab-p${colours.get(protocol)})`;
  }

  function drawPanel(number, panel) {
    panel.isNew = false;
    const { told } = panel;
    panel.title.textContent = told.title;
    const parts = [plural(told.frames, "frame"), plural(told.streams, "stream")];
    if (panel.skipped) parts.push(`${plural(panel.skipped, "frame")} not drawn (too fast)`);
    if (told.closed) parts.push(`connection ended: ${told.closed}`);
    panel.about.textContent = parts.join(", ");
    panel.sides.textContent = `frames in the order of the wire: ${told.peers[0]}'s above, ${told.peers[1]}'s below`;
    panel.pokes.element.hidden = !told.can_poke;
    const chosen = panel.lanes.get(panel.chosen);
    for (const one of panel.pokes.all) one.disabled = !chosen || !ALIVE.includes(chosen.state);
    const lanes = [...panel.lanes.values()].sort((a, b) => byNumber(a.id, b.id));
    const rows = lanes.map((lane) => drawLane(number, panel, lane));
    const isSame =
      rows.length === panel.list.children.length && rows.every((one, at) => one === panel.list.children[at]);
    if (!isSame) panel.list.replaceChildren(...rows);
    for (const id of panel.rows.keys()) if (!panel.lanes.has(id)) panel.rows.delete(id);
    if (panel.details.open) drawTable(panel);
  }

  function drawLane(number, panel, lane) {
    let row = panel.rows.get(lane.id);
    if (!row) {
      const parts = {
        name: h("div", { class: "lab-lane-name" }),
        track: h("div", { class: "lab-track" }),
        gauges: h("div", { class: "lab-gauges" }),
      };
      row = h("div", { class: "lab-lane", role: "option", id: `lab-lane-${uid}-${number}-${lane.id}` });
      row.append(parts.name, parts.track, parts.gauges);
      row.parts = parts;
      row.addEventListener("click", (event) => {
        choose(panel, lane.id);
        const block = event.target.closest("[data-block]");
        if (block) open(number, Number(block.dataset.block));
      });
      panel.rows.set(lane.id, row);
    }
    row.style.setProperty("--layer", tint(lane.protocol));
    row.setAttribute("aria-selected", String(lane.id === panel.chosen));
    row.setAttribute("aria-label", spoken(panel, lane));
    const { name, track, gauges } = row.parts;
    const isOver = !ALIVE.includes(lane.state);
    name.replaceChildren(
      h("b", {}, lane.id ? `stream ${lane.id}` : "session"),
      h("span", { class: lane.state.startsWith("reset") ? "lab-bad" : "lab-quiet" }, ` ${lane.id ? lane.state : ""}`),
      lane.held && !isOver ? h("span", { class: "lab-bad" }, ", nobody reads") : "",
      h("div", { class: "lab-quiet lab-cut", title: lane.protocol }, lane.protocol || (lane.id ? "no protocol yet" : "pings, go-away")),
    );
    drawTrack(track, panel.blocks, lane, opened && opened[0] === number ? opened[1] : -1);
    gauges.replaceChildren(...(lane.id ? lane.ways.map((way, at) => drawGauge(panel, way, at)) : []));
    return row;
  }

  // The sender's queue, what may still be sent, and what lies unread at the receiver.
  function drawGauge(panel, way, at) {
    const names = panel.told.peers;
    const to = names[1 - at];
    const parts = [h("span", { class: "lab-way", title: `${names[at]} sends, ${to} reads` }, WAYS[at])];
    const room = (words) => h("span", { class: "lab-meter lab-quiet" }, words);
    const waits = `${bytes(way.queued ?? 0)} wait at ${names[at]}`;
    parts.push(
      way.queued === null ? room("") : bar("queued", way.queued, way.window, waits),
      way.left === null
        ? room(panel.told.muxer.includes("mplex") ? "no window" : "")
        : bar("window", way.left, way.window, `${bytes(Math.max(0, way.left))} of ${bytes(way.window)} may still be sent`),
      way.unread === null || !way.window
        ? room("")
        : bar("unread", way.unread, way.window, `${bytes(way.unread)} lie unread at ${to}`),
    );
    return h("div", { class: "lab-gauge lab-num" }, parts);
  }

  function bar(kind, value, total, title) {
    const share = total ? Math.min(1, Math.max(0, value) / total) : 0;
    const fill = h("i");
    fill.style.width = `${(share * 100).toFixed(1)}%`;
    return h("span", { class: "lab-meter", "data-kind": kind, title }, h("span", {}, fill), bytes(Math.max(0, value)));
  }

  function spoken(panel, lane) {
    const parts = [lane.id ? `stream ${lane.id}` : "session", lane.protocol, lane.state];
    lane.ways.forEach((way, at) => {
      if (way.left !== null && lane.id)
        parts.push(`${panel.told.peers[at]} may send ${bytes(Math.max(0, way.left))}`);
      if (way.unread) parts.push(`${bytes(way.unread)} unread at ${panel.told.peers[1 - at]}`);
    });
    return parts.filter(Boolean).join(", ");
  }

  function drawTable(panel) {
    const heads = ["stream", "protocol", "state", "from", "to", "bytes", "window left", "window", "queued", "unread"];
    const cell = (value) => h("td", { class: "lab-num" }, value === null ? "" : value.toLocaleString("en"));
    const rows = [...panel.lanes.values()]
      .filter((lane) => lane.id)
      .sort((a, b) => a.id - b.id)
      .flatMap((lane) =>
        lane.ways.map((way, at) =>
          h(
            "tr",
            {},
            [String(lane.id), lane.protocol, lane.state, panel.told.peers[at], panel.told.peers[1 - at]].map((text) => h("td", {}, text)),
            [way.moved, way.left, way.left === null ? null : way.window, way.queued, way.unread].map(cell),
          ),
        ),
      );
    panel.table.replaceChildren(
      h("table", {}, h("thead", {}, h("tr", {}, heads.map((one) => h("th", { scope: "col" }, one)))), h("tbody", {}, rows)),
    );
  }

  // -- choosing ---------------------------------------------------------------------------------

  function choose(panel, id) {
    panel.chosen = id;
    panel.isNew = true;
    redraw();
    const row = panel.rows.get(id);
    if (row) panel.list.setAttribute("aria-activedescendant", row.id);
  }

  function onKey(event, panel, number) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const ids = [...panel.lanes.keys()].sort(byNumber);
    const at = ids.indexOf(panel.chosen);
    const steps = { ArrowDown: at + 1, ArrowUp: at < 0 ? ids.length - 1 : at - 1, Home: 0, End: ids.length - 1 };
    if (event.key in steps) {
      const next = ids[Math.min(ids.length - 1, Math.max(0, steps[event.key]))];
      if (next !== undefined) choose(panel, next);
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      stepBlock(panel, number, event.key === "ArrowRight" ? 1 : -1);
    } else if (event.key === "Escape") hide();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // The next frame of the chosen stream, or of all if none is chosen.
  function stepBlock(panel, number, way) {
    const own = panel.blocks.filter((block) => panel.chosen === null || block[3] === panel.chosen);
    if (!own.length) return;
    const here = opened && opened[0] === number ? own.findIndex((block) => block[0] === opened[1]) : -1;
    const next = here < 0 ? (way > 0 ? 0 : own.length - 1) : here + way;
    if (own[next]) open(number, own[next][0]);
  }

  function open(number, block) {
    opened = [number, block];
    if (!isFrozen) freeze(true); // what one looks at shall not run away
    for (const panel of panels.values()) panel.isNew = true;
    redraw();
    link.send({ type: "open_block", panel: number, block });
  }

  function hide() {
    opened = null;
    detail.hidden = explanation.hidden = true;
    if (isFrozen) freeze(false);
    for (const panel of panels.values()) panel.isNew = true;
    redraw();
  }

  function show({ panel, block, message }) {
    const found = panels.get(panel)?.blocks.find((one) => one[0] === block);
    if (!message || !found) return;
    const names = panels.get(panel).told.peers;
    const who = `${names[found[2]]} → ${names[1 - found[2]]}`;
    detail.hidden = explanation.hidden = false;
    detail.replaceChildren(
      h(
        "div",
        { class: "lab-bar" },
        h("b", {}, message.title),
        h("span", { class: "lab-quiet lab-num" }, `${who}, frame ${block} of this connection`),
        h("span", { class: "lab-grow" }),
        h("button", { type: "button", onclick: hide }, "Close"),
      ),
      ...drawMessage(message, (field) => drawExplanation(explanation, field)),
    );
    drawExplanation(explanation, null);
  }

  return () => link.close();
}

const uid = Math.random().toString(36).slice(2);

export default { render };
