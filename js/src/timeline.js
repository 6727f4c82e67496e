// Timeline: a space-time diagram. Peers side by side, time downwards, an arrow for each message.
import { bytes, chip, connect, h, LAYERS, plural, root } from "./dom.js";
import { drawExplanation, drawMessage } from "./message.js";
import { drawDiagram, groupsOf, placesOf } from "./timeline_diagram.js";

const LEVEL_WORDS = {
  packets: "What crosses the internet (or, on real machines, the pieces of bytes)",
  messages: "What the protocols say to each other",
  frames: "The muxer's frames, coloured by the protocol of their stream",
};
const MAX_ROWS = 400;
const COLUMN = 380; // pixels of one diagram at least, as the style sheet has it

function render({ model, el }) {
  const page = root(el, "Timeline of messages");
  const status = h("span", { class: "lab-quiet lab-num" }, "waiting for the kernel");
  const levels = h("span", { class: "lab-group", role: "group", "aria-label": "What to look at" });
  const scales = h("span", { class: "lab-group", role: "group", "aria-label": "Scale of time" });
  const moment = h("input", {
    type: "range",
    min: 0,
    max: 1000,
    value: 1000,
    "aria-label": "moment that is shown",
    oninput: () => scrub(Number(moment.value) / 1000),
  });
  const clock = h("span", { class: "lab-num", role: "status" });
  const clear = h("button", { type: "button", onclick: () => link.send({ type: "clear" }) }, "Clear");
  const legend = h("div", { class: "lab-legend" });
  const stages = h("div", { class: "lab-checks" });
  const body = h("div", { class: "lab-diagrams" });
  const detail = h("div", { class: "lab-detail", hidden: true });
  const explanation = h("div", { class: "lab-explain", "aria-live": "polite" });
  const rows = h("div", { class: "lab-checks" });
  const list = h("details", {}, h("summary", {}, "The messages as a table"), rows);
  explanation.hidden = true;
  list.addEventListener("toggle", () => list.open && drawTable());
  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h("div", { class: "lab-bar" }, h("h3", { class: "lab-title" }, "Timeline"), status, h("span", { class: "lab-grow" }), levels, scales, clear),
      h("div", { class: "lab-bar" }, h("label", {}, "Moment", moment), clock),
      legend,
      body,
      detail,
      explanation,
      stages,
      list,
    ),
  );

  let panels = [];
  let stageNames = [];
  let level = null;
  let isTrue = false; // true to time, or to be read
  let at = 1; // the moment, as a share of the whole
  let opened = null; // [panel, arrow]
  let focused = null; // the group in the focus: [panel, position]
  const tints = new Map();

  const link = connect(model, (message) => {
    switch (message.type) {
      case "snapshot":
      case "update":
        panels = message.panels;
        stageNames = message.stages;
        status.textContent = message.summary;
        clear.hidden = !panels.some((panel) => panel.is_live);
        redraw();
        break;
      case "message":
        if (opened && opened[0] === message.panel && opened[1] === message.arrow) show(message);
        break;
    }
  });

  const span = () => Math.max(0, ...panels.map((panel) => panel.end - panel.start));
  const now = () => at * span();

  function redraw() {
    const known = [...new Set(panels.flatMap((panel) => panel.levels))];
    if (!known.includes(level)) level = panels[0]?.level ?? "messages";
    levels.replaceChildren(
      ...["packets", "messages", "frames"]
        .filter((name) => known.includes(name))
        .map((name) => toggle(name, LEVEL_WORDS[name], name === level, () => ((level = name), (focused = null)))),
    );
    scales.replaceChildren(
      toggle("to read", "Every moment gets a line of its own", !isTrue, () => (isTrue = false)),
      toggle("true to time", "As far apart as in time", isTrue, () => (isTrue = true)),
    );
    drawPanels();
    drawStages();
    if (list.open) drawTable();
  }

  function toggle(words, title, isOn, act) {
    const press = () => {
      act();
      redraw();
    };
    return h("button", { type: "button", title, "aria-pressed": String(isOn), onclick: press }, words);
  }

  function scrub(share) {
    at = share;
    drawPanels();
  }

  // -- the diagrams -----------------------------------------------------------------------------

  function drawPanels() {
    clock.textContent = `${(now() * 1000).toFixed(1)} of ${(span() * 1000).toFixed(1)} ms, ${underWay()}`;
    const shared = span();
    const grouped = panels.map((panel) => groupsOf(panel, level));
    const places = placesOf(grouped.flat(), shared, isTrue); // the same for all: they are compared
    const columns = Math.min(panels.length || 1, Math.max(1, Math.floor(body.clientWidth / COLUMN)));
    const found = panels.map((panel, number) => {
      const groups = grouped[number];
      const figure = h("figure", { class: "lab-diagram" });
      if (panel.title) figure.append(h("figcaption", { class: "lab-title" }, panel.title));
      figure.append(
        drawDiagram(panel, groups, places, {
          width: body.clientWidth / columns - 24,
          until: at < 1 ? now() : Infinity,
          tint,
          focused: focused && focused[0] === number ? focused[1] : -1,
          opened: opened && opened[0] === number ? opened[1] : -1,
          choose: (position) => choose(number, position),
          key: (event) => onKey(event, number, groups),
          focus: (position) => {
            focused = [number, position];
          },
        }),
      );
      if (panel.more) figure.append(h("p", { class: "lab-quiet" }, `${plural(panel.more, "later entry").replace("entrys", "entries")} not drawn`));
      if (!groups.length) figure.append(h("p", { class: "lab-quiet" }, "No messages yet."));
      return figure;
    });
    const hadFocus = body.contains(document.activeElement);
    body.replaceChildren(...found);
    if (hadFocus) body.querySelector('[tabindex="0"][data-at]')?.focus({ preventScroll: true });
    drawLegend();
  }

  function underWay() {
    const time = now();
    const flying = panels.flatMap((panel) =>
      panel.arrows.filter(([, name, , , sent, received]) => name === level && sent !== null && sent <= time && (received ?? sent) > time),
    );
    return `${plural(flying.length, "message")} under way`;
  }

  // A colour for each protocol; for what has none, its layer's.
  function tint([, , , , , , layer, protocol, title]) {
    if (level === "packets") {
      const kind = title.split(",")[0];
      return ["syn", "synack", "ack", "fin", "rst"].includes(kind) ? "var(--lab-address)" : "var(--lab-transport)";
    }
    if (layer === "transport") return "var(--lab-address)";
    if (!protocol) return `var(--lab-${LAYERS[layer] ?? "stream"})`;
    if (!tints.has(protocol)) tints.set(protocol, tints.size % 8);
    return `var(--lab-p${tints.get(protocol)})`;
  }

  function drawLegend() {
    const shown = panels.flatMap((panel) => panel.arrows.filter((arrow) => arrow[1] === level));
    const layers = [...new Set(shown.filter((arrow) => !arrow[7]).map((arrow) => arrow[6]))];
    const protocols = [...new Set(shown.map((arrow) => arrow[7]).filter(Boolean))];
    legend.replaceChildren(
      ...layers.map((layer) => chip(layer === "transport" ? "address" : layer, layer)),
      ...protocols.map((protocol) => {
        const one = h("span", { class: "lab-chip" }, protocol);
        one.style.setProperty("--layer", `var(--lab-p${tints.get(protocol) ?? 0})`);
        return one;
      }),
    );
  }

  // -- round trips ------------------------------------------------------------------------------

  function drawStages() {
    const mains = panels.map((panel) => (panel.main === null ? null : panel.setups[panel.main]));
    if (!mains.some(Boolean)) return stages.replaceChildren();
    let isGuessed = false;
    const cell = (setup, name) => {
      const stage = setup?.stages.find(([one]) => one === name);
      if (!stage) return h("td", {}, "");
      const [, time, trips, isMeasured] = stage;
      isGuessed ||= !isMeasured;
      const after = (time - setup.stages[0][1]) * 1000;
      return h("td", { class: "lab-num" }, `${trips / 2}${isMeasured ? "" : "*"}`, h("span", { class: "lab-quiet" }, ` after ${after.toFixed(1)} ms`));
    };
    const heads = mains.map((setup, number) => h("th", { scope: "col" }, panels[number].title || setup?.title || ""));
    const isReached = (name) => mains.some((setup) => setup?.stages.some(([one]) => one === name));
    const lines = stageNames
      .filter(isReached)
      .map((name) => h("tr", { "data-stage": name }, h("th", { scope: "row" }, name), mains.map((setup) => cell(setup, name))));
    return stages.replaceChildren(
      h(
        "table",
        {},
        h("caption", {}, "Round trips until then, counted from the messages"),
        h("thead", {}, h("tr", {}, h("th", {}, ""), heads)),
        h("tbody", {}, lines),
      ),
      isGuessed
        ? h("p", { class: "lab-quiet" }, "* A part of them left no trace (the transport's own handshake, or an end that was not recorded): it was taken from what the protocol says.")
        : "",
    );
  }

  // -- choosing ---------------------------------------------------------------------------------

  function onKey(event, number, groups) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const here = focused && focused[0] === number ? focused[1] : 0;
    const next = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: groups.length - 1 }[event.key];
    if (next !== undefined) {
      focused = [number, Math.min(groups.length - 1, Math.max(0, next))];
      drawPanels();
    } else if (event.key === "Enter" || event.key === " ") choose(number, here);
    else if (event.key === "Escape") hide();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function choose(number, position) {
    const group = groupsOf(panels[number], level)[position];
    if (!group) return;
    focused = [number, position];
    const inside = group.arrows.map((arrow) => arrow[0]);
    const before = opened && opened[0] === number ? inside.indexOf(opened[1]) : -1;
    openArrow(number, inside[(before + 1) % inside.length]);
  }

  function openArrow(number, arrow) {
    opened = [number, arrow];
    drawPanels();
    link.send({ type: "open_arrow", panel: number, arrow });
  }

  function hide() {
    opened = null;
    detail.hidden = explanation.hidden = true;
    drawPanels();
  }

  function show({ panel, arrow, message }) {
    if (!message) return;
    const scene = panels[panel];
    const group = groupsOf(scene, level).find((one) => one.arrows.some((it) => it[0] === arrow));
    const choices = (group?.arrows ?? []).map((one) =>
      h(
        "button",
        { type: "button", "aria-pressed": String(one[0] === arrow), onclick: () => openArrow(panel, one[0]) },
        one[8].slice(0, 40),
      ),
    );
    detail.hidden = explanation.hidden = false;
    detail.replaceChildren(
      h(
        "div",
        { class: "lab-bar" },
        choices.length > 1 ? choices : h("b", {}, message.title),
        h("span", { class: "lab-grow" }),
        h("button", { type: "button", onclick: hide }, "Close"),
      ),
      ...drawMessage(message, (field) => drawExplanation(explanation, field)),
    );
    drawExplanation(explanation, null);
  }

  // -- the table --------------------------------------------------------------------------------

  function drawTable() {
    const heads = ["ms", "from", "to", "arrives", "layer", "message", "bytes", "round trips"];
    const ms = (time) => (time === null ? "" : (time * 1000).toFixed(2));
    const tables = panels.map((panel) => {
      const shown = panel.arrows.filter((arrow) => arrow[1] === level);
      const lines = shown
        .slice(0, MAX_ROWS)
        .map(([, , sender, receiver, sent, received, layer, protocol, title, size, trips, lost]) =>
          h(
            "tr",
            {},
            [ms(sent), panel.lanes[sender], panel.lanes[receiver], lost || ms(received), layer, `${title} ${protocol}`, bytes(size), trips ? String(trips / 2) : ""].map((text) => h("td", {}, text)),
          ),
        );
      const caption = `${panel.title} ${shown.length > MAX_ROWS ? `the first ${MAX_ROWS} of ` : ""}${plural(shown.length, "message")}`;
      return h(
        "table",
        {},
        h("caption", {}, caption),
        h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, lines),
      );
    });
    rows.replaceChildren(...tables);
  }

  let width = 0;
  const observer = new ResizeObserver(() => {
    if (Math.abs(body.clientWidth - width) < 8) return;
    width = body.clientWidth;
    drawPanels();
  });
  observer.observe(body);

  return () => {
    observer.disconnect();
    link.close();
  };
}

export default { render };
