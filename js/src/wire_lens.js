// WireLens: the messages of a connection in the order of time; each opened down to its bytes.
import { bytes, chip, connect, download, h, LAYERS, plural, root } from "./dom.js";
import { drawExplanation, drawMessage } from "./message.js";
import { drawEditor } from "./resend.js";

const MAX_ROWS = 3000; // in the page; the kernel keeps more
const LEVELS = [
  ["as sent", "The bytes that the transport moved.", (row) => row.layer === "transport"],
  [
    "decrypted",
    "One row for each message on the wire, opened.",
    (row) => row.layer === "security" || (row.layer === "negotiation" && !row.link.includes("/")),
  ],
  ["after mux", "The muxer's frames, stream by stream.", (row) => row.layer === "muxer"],
  [
    "after protobuf",
    "What the protocols on the streams say.",
    (row) =>
      !["transport", "security", "muxer"].includes(row.layer) &&
      (row.layer !== "negotiation" || row.link.includes("/")),
  ],
];

function render({ model, el }) {
  const page = root(el, "Messages on the wire");
  const rows = []; // everything the kernel told, in order
  let level = 1;
  let isPaused = false;
  let until = Infinity; // while paused: the last row that is shown
  let selected = null;
  let filters = { layer: "", protocol: "", direction: "", connection: "", text: "" };
  let skipped = 0;
  let dropped = 0;
  let isLive = true;
  let names = [];
  let start = null;
  let editor = null; // of the message that is shown
  let elements = new Map(); // seq → element of a shown row

  const status = h("span", { class: "lab-quiet lab-num", role: "status" });
  const levelButtons = LEVELS.map(([name, title], at) =>
    h(
      "button",
      { type: "button", title, "aria-pressed": String(at === level), onclick: () => setLevel(at) },
      name,
    ),
  );
  const pause = h(
    "button",
    { type: "button", "aria-pressed": "false", onclick: () => setPaused(!isPaused) },
    "Pause",
  );
  const back = h(
    "button",
    { type: "button", onclick: () => step(-1), "aria-label": "step back" },
    "◀",
  );
  const forth = h(
    "button",
    { type: "button", onclick: () => step(1), "aria-label": "step forward" },
    "Step ▶",
  );
  const choices = {
    layer: select("layer", "all layers"),
    connection: select("connection", "all connections"),
    protocol: select("protocol", "all protocols"),
    direction: select("direction", "both ways"),
  };
  fillChoice("direction", [
    ["sent", "sent"],
    ["received", "received"],
    ["event", "events"],
  ]);
  const text = h("input", {
    type: "search",
    placeholder: "filter by text",
    "aria-label": "filter by text",
    size: 12,
    oninput: (event) => setFilter("text", event.target.value.toLowerCase()),
  });
  const list = h("div", {
    class: "lab-list",
    role: "listbox",
    tabindex: 0,
    "aria-label": "Messages",
    onkeydown: onKey,
  });
  const detail = h("div", { class: "lab-detail" });
  const explanation = h("div", { class: "lab-explain", "aria-live": "polite" });
  const save = (kind, label) =>
    h(
      "button",
      { type: "button", "data-export": kind, onclick: () => link.send({ type: "export", kind }) },
      label,
    );
  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h(
        "div",
        { class: "lab-bar" },
        h("h3", { class: "lab-title" }, "Wire"),
        h(
          "span",
          { class: "lab-group", role: "group", "aria-label": "What to look at" },
          levelButtons,
        ),
        h("span", { class: "lab-group", role: "group", "aria-label": "Time" }, back, pause, forth),
        h("span", { class: "lab-grow" }),
        status,
      ),
      h(
        "div",
        { class: "lab-bar" },
        Object.values(choices),
        text,
        h("span", { class: "lab-grow" }),
        h("button", { type: "button", onclick: clear }, "Clear"),
        h(
          "span",
          { class: "lab-group", role: "group", "aria-label": "Save" },
          save("jsonl", "Save JSON"),
          save("pcapng", "Save pcapng"),
        ),
      ),
      h("div", { class: "lab-lens" }, list, detail),
      explanation,
    ),
  );
  drawExplanation(explanation, null);
  showNothing();

  const link = connect(model, (message, buffers) => {
    switch (message.type) {
      case "snapshot":
        rows.length = 0;
        start = null;
        isLive = message.is_live;
        take(message);
        redraw();
        break;
      case "rows":
        take(message);
        append(message.rows);
        break;
      case "message":
        if (message.number === selected) showDetail(message);
        break;
      case "answer":
        if (message.number === selected) editor?.show(message);
        break;
      case "file":
        download(message.name, buffers[0]);
        break;
      case "problem":
        status.textContent = message.text;
        break;
    }
  });

  // -- rows -------------------------------------------------------------------------------------

  function take(message) {
    names = message.nodes;
    skipped += message.skipped;
    dropped = message.dropped;
    for (const row of message.rows) {
      start ??= row.time;
      rows.push(row);
    }
    if (rows.length > MAX_ROWS) rows.splice(0, rows.length - MAX_ROWS);
    refreshChoices(message.rows);
  }

  const known = { layer: new Set(), protocol: new Set(), connection: new Map() };

  function refreshChoices(fresh) {
    let isNew = false;
    for (const row of fresh) {
      const connection = `${row.node}|${row.link.split("/")[0]}`;
      if (!known.layer.has(row.layer)) isNew = known.layer.add(row.layer);
      if (row.protocol && !known.protocol.has(row.protocol))
        isNew = known.protocol.add(row.protocol);
      if (row.link && !known.connection.has(connection)) {
        const owner = names.length > 1 ? `${names[row.node]}, ` : "";
        isNew = known.connection.set(connection, `${owner}connection ${row.link.split("/")[0]}`);
      }
    }
    if (!isNew) return;
    fillChoice(
      "layer",
      [...known.layer].map((name) => [name, name]),
    );
    fillChoice(
      "protocol",
      [...known.protocol].map((name) => [name, name]),
    );
    fillChoice("connection", [...known.connection]);
  }

  function select(key, all) {
    const element = h("select", {
      "aria-label": `filter by ${key}`,
      onchange: (event) => setFilter(key, event.target.value),
    });
    element.append(h("option", { value: "" }, all));
    return element;
  }

  function fillChoice(key, options) {
    const element = choices[key];
    while (element.options.length > 1) element.remove(1);
    for (const [value, label] of options)
      element.append(h("option", { value, selected: filters[key] === value }, label));
  }

  function matches(row) {
    if (row.seq > until) return false;
    if (!LEVELS[level][2](row) && row.layer !== "host") return false;
    if (filters.layer && row.layer !== filters.layer) return false;
    if (filters.protocol && row.protocol !== filters.protocol) return false;
    if (filters.direction && row.direction !== filters.direction) return false;
    if (filters.connection && `${row.node}|${row.link.split("/")[0]}` !== filters.connection)
      return false;
    return (
      !filters.text ||
      `${row.title} ${row.layer} ${row.protocol} ${row.link}`.toLowerCase().includes(filters.text)
    );
  }

  const ARROW = { sent: ["→", "sent"], received: ["←", "received"], event: ["·", "event"] };

  function drawRow(row) {
    const [arrow, word] = ARROW[row.direction];
    const since = ((row.time - start) * 1000).toFixed(1);
    const owner = names.length > 1 ? `${names[row.node]}: ` : "";
    const element = h(
      "div",
      {
        class: "lab-row",
        role: "option",
        id: `lab-row-${id}-${row.seq}`,
        "aria-selected": String(row.seq === selected),
        "data-layer": LAYERS[row.layer] ?? "stream",
        onclick: () => choose(row.seq),
      },
      h("span", { class: "lab-num lab-quiet", title: "milliseconds since the first entry" }, since),
      h("span", { "aria-label": word, title: word }, arrow),
      chip(row.layer),
      h("span", { title: row.title }, owner + row.title),
      h("span", { class: "lab-quiet lab-num" }, row.size ? bytes(row.size) : ""),
    );
    elements.set(row.seq, element);
    return element;
  }

  const id = Math.random().toString(36).slice(2);

  function redraw() {
    elements = new Map();
    list.replaceChildren(...rows.filter(matches).map(drawRow));
    if (!elements.size)
      list.replaceChildren(
        h(
          "div",
          { class: "lab-quiet", style: "padding:12px" },
          "No messages yet: connect, ping, or loosen the filter.",
        ),
      );
    showStatus();
    if (selected === null || !elements.has(selected)) {
      if (isLive) follow();
    } else elements.get(selected).scrollIntoView({ block: "nearest" });
  }

  function append(fresh) {
    const drawn = fresh.filter(matches);
    if (!elements.size) return redraw();
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.append(...drawn.map(drawRow));
    while (elements.size > MAX_ROWS) {
      const [oldest] = elements.keys();
      elements.get(oldest).remove();
      elements.delete(oldest);
    }
    if (isAtEnd && selected === null) follow();
    return showStatus();
  }

  function follow() {
    list.scrollTop = list.scrollHeight;
  }

  function showStatus() {
    const waiting = isPaused ? rows.filter((row) => row.seq > until).length : 0;
    const parts = [plural(elements.size, "row")];
    if (waiting) parts.push(`${plural(waiting, "entry").replace("entrys", "entries")} waiting`);
    if (skipped) parts.push(`${skipped.toLocaleString("en")} not listed (too fast)`);
    if (dropped) parts.push(`oldest ${dropped.toLocaleString("en")} dropped`);
    status.textContent = parts.join(", ");
    pause.textContent = isPaused ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(isPaused));
  }

  // -- what a person does -----------------------------------------------------------------------

  function setLevel(at) {
    level = at;
    levelButtons.forEach((button, index) =>
      button.setAttribute("aria-pressed", String(index === at)),
    );
    redraw();
  }

  function setFilter(key, value) {
    filters = { ...filters, [key]: value };
    redraw();
  }

  function setPaused(value) {
    isPaused = value;
    until = value ? (rows[rows.length - 1]?.seq ?? -1) : Infinity;
    redraw();
  }

  function clear() {
    rows.length = 0;
    elements = new Map();
    selected = null;
    skipped = 0;
    link.send({ type: "clear" });
    showNothing();
    redraw();
  }

  // The next row; while paused, one that waits comes out if need be.
  function step(way) {
    const order = [...elements.keys()];
    const at = selected === null ? (way > 0 ? -1 : order.length) : order.indexOf(selected);
    let next = order[at + way];
    if (next === undefined && way > 0 && isPaused) {
      const before = until;
      until = Infinity;
      const waiting = rows.find((row) => row.seq > before && matches(row));
      until = waiting ? waiting.seq : before;
      next = waiting?.seq;
      if (waiting) redraw();
    }
    if (next !== undefined) choose(next);
  }

  function onKey(event) {
    const order = [...elements.keys()];
    const at = order.indexOf(selected);
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      Home: 0,
      End: order.length - 1,
      PageDown: Math.min(at + 12, order.length - 1),
      PageUp: Math.max(at - 12, 0),
    }[event.key];
    if (event.key === " ") {
      event.preventDefault();
      return setPaused(!isPaused);
    }
    if (to === undefined || order[to] === undefined) return undefined;
    event.preventDefault();
    event.stopPropagation();
    return choose(order[to]);
  }

  function choose(seq) {
    elements.get(selected)?.setAttribute("aria-selected", "false");
    selected = seq;
    const element = elements.get(seq);
    element.setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", element.id);
    const box = element.getBoundingClientRect();
    const frame = list.getBoundingClientRect();
    if (box.top < frame.top) list.scrollTop -= frame.top - box.top + 30;
    if (box.bottom > frame.bottom) list.scrollTop += box.bottom - frame.bottom + 30;
    link.send({ type: "open_row", number: seq });
  }

  // -- one message ------------------------------------------------------------------------------

  function showNothing() {
    detail.replaceChildren(
      h(
        "p",
        { class: "lab-quiet" },
        "Choose a message to see its bytes: every field of every layer that it carries.",
      ),
    );
  }

  function showDetail(message) {
    const told = message.message;
    if (!told) {
      detail.replaceChildren(h("p", { class: "lab-quiet" }, "This message is no longer kept."));
      return;
    }
    const parts = [h("h3", {}, told.title)];
    editor = message.resend
      ? drawEditor(message.resend, (hex) =>
          link.send({ type: "resend", number: message.number, hex }),
        )
      : null;
    if (editor) parts.push(editor.element);
    if (told.note) parts.push(h("p", { class: "lab-quiet", style: "margin: 0 0 8px" }, told.note));
    if (told.fields.length || told.size)
      parts.push(...drawMessage(told, (field) => drawExplanation(explanation, field)));
    detail.replaceChildren(...parts);
    detail.scrollTop = 0;
    drawExplanation(explanation, null);
  }

  return () => link.close();
}

export default { render };
