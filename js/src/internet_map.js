// InternetMap: a simulated internet that can be stopped, stepped and broken.
import { connect, h, plural, root } from "./dom.js";
import { InternetScene } from "./internet_scene.js";

const SAY_EVERY = 3000; // ms between two sentences for screen readers
const MAX_ROWS = 500;
const SPEEDS = [0.001, 0.01, 0.03, 0.1, 0.3, 1, 10, 100, 1000, -1]; // -1: as fast as possible
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const TINTS = [
  ["syn", "asks for a connection", 3],
  ["data", "data", 0],
  ["ack", "acknowledges", 7],
  ["datagram", "datagram (UDP)", 4],
  ["fin, rst", "ends a connection", 6],
];

const named = (speed) => (speed < 0 ? "as fast as possible" : `${speed}× real time`);

function render({ model, el }) {
  const page = root(el, "Map of an internet");
  const status = h("span", { class: "lab-quiet lab-num" }, "waiting for the kernel");
  const time = h("span", { class: "lab-num", "data-part": "time" });
  const spoken = h("div", { class: "lab-hidden", "aria-live": "polite" });
  const result = h("span", { role: "status" });
  const stage = h(
    "div",
    {
      class: "lab-stage",
      role: "application",
      tabindex: 0,
      "aria-label":
        "Machines. Arrow keys move, Enter opens a card, Space plays or pauses, the letter s steps.",
    },
    h("canvas", { "aria-hidden": "true" }),
  );
  const scene = new InternetScene(stage);
  page.labStats = scene.stats; // what the speed of drawing is measured by
  const play = h("button", { type: "button", class: "lab-primary", onclick: toggle }, "Play");
  const step = h("button", { type: "button", onclick: () => act("step") }, "Step");
  step.title = "Run to the next packet, and stop";
  const drop = h("button", { type: "button", onclick: () => act("drop") }, "Lose the next packet");
  const moment = h("input", {
    type: "number",
    min: 0,
    step: "any",
    class: "lab-short",
    "aria-label": "a moment, in seconds of virtual time",
  });
  const seek = () => moment.value !== "" && act("seek", { time: Number(moment.value) });
  moment.addEventListener("keydown", (event) => {
    event.stopPropagation(); // JupyterLab has other plans for Enter
    if (event.key === "Enter") seek();
  });
  const back = h(
    "span",
    { class: "lab-inline", hidden: true },
    moment,
    h("button", { type: "button", onclick: seek }, "Go to this moment"),
  );
  const speeds = h("select", { "aria-label": "speed", onchange: () => running && start() });
  const card = h("aside", { class: "lab-card", hidden: true, "aria-label": "Card of a machine" });
  const cuts = h("div", { class: "lab-legend", role: "group", "aria-label": "Cables that are cut" });
  const drops = h("span", { class: "lab-quiet lab-num" });
  const table = h("div");
  const list = h("details", {}, h("summary", {}, "Machines and boxes as a table"), table);
  const legend = h(
    "div",
    { class: "lab-legend" },
    TINTS.map(([kind, words, number]) => {
      const chip = h("span", { class: "lab-chip", title: words }, kind);
      chip.style.setProperty("--layer", `var(--lab-p${number})`);
      return chip;
    }),
    drops,
  );
  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h(
        "div",
        { class: "lab-bar" },
        h("h3", { class: "lab-title" }, "Internet"),
        status,
        h("span", { class: "lab-grow" }),
        time,
      ),
      h("div", { class: "lab-bar" }, play, step, speeds, drop, back, result),
      h("div", { class: "lab-map" }, stage, card),
      cuts,
      legend,
      list,
    ),
    spoken,
  );
  cuts.hidden = true;

  let running = false;
  let chosen = "";
  let shown = ""; // what the card shows, as text
  let sayTimer = 0;
  let said = "";
  let failures = 0;

  const link = connect(model, (message, buffers) => {
    switch (message.type) {
      case "snapshot":
        scene.forget();
        back.hidden = !message.can_go_back;
        scene.regions = message.regions;
        scene.kinds = message.kinds;
        scene.readColours();
        offer(message.wanted);
        take(message, buffers);
        if (chosen) act("select", { name: chosen });
        break;
      case "update":
        take(message, buffers);
        if (message.card) show(message.card);
        break;
      case "card":
        show(message.card);
        break;
      case "result":
        result.className = message.ok ? "lab-good" : "lab-bad";
        result.textContent = message.text;
        break;
    }
  });

  function take(message, buffers) {
    scene.setPlaces(message.places);
    if (message.cuts) takeCuts(message.cuts, message.mine);
    if (buffers.length) {
      const view = buffers[0];
      scene.fly(
        new Float64Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)),
      );
    }
    for (const [index] of message.lost) scene.cross(index);
    scene.setClock(message.now, message.speed);
    running = message.speed !== 0;
    play.textContent = running ? "Pause" : "Play";
    status.textContent = message.summary;
    time.textContent = `${message.now.toFixed(3)} s, ${running ? named(message.speed) : "paused"}`;
    const reasons = Object.entries(message.drops).map(([reason, count]) => `${count} ${reason}`);
    drops.textContent = reasons.length ? `Packets that never arrived: ${reasons.join(", ")}` : "";
    if (message.failures.length > failures) {
      result.className = "lab-bad";
      result.textContent = message.failures[message.failures.length - 1];
    }
    failures = message.failures.length;
    if (message.places.length || message.cuts) {
      say(message.summary);
      if (list.open && !table.contains(document.activeElement)) drawTable();
    }
  }

  function say(text) {
    said = text;
    if (sayTimer) return;
    spoken.textContent = text;
    sayTimer = setTimeout(() => {
      sayTimer = 0;
      if (spoken.textContent !== said) say(said);
    }, SAY_EVERY);
  }

  function act(type, more = {}) {
    link.send({ type, ...more });
  }

  // -- time -------------------------------------------------------------------------------------

  function offer(wanted) {
    const known = SPEEDS.includes(wanted) ? SPEEDS : [wanted, ...SPEEDS];
    const before = speeds.value;
    speeds.replaceChildren(...known.map((one) => h("option", { value: String(one) }, named(one))));
    speeds.value = before || String(wanted);
  }

  function start() {
    act("play", { speed: Number(speeds.value) });
  }

  function toggle() {
    if (running) act("play", { speed: 0 });
    else start();
  }

  // -- the card ---------------------------------------------------------------------------------

  function select(place) {
    chosen = place && place.name !== chosen ? place.name : "";
    scene.selected = chosen ? place.index : -1;
    scene.wake();
    card.hidden = !chosen;
    shown = "";
    act("select", { name: chosen });
    if (!chosen) stage.focus({ preventScroll: true });
  }

  function show(about) {
    if (about.name !== chosen || JSON.stringify(about) === shown) return;
    shown = JSON.stringify(about);
    const focus = card.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    const button = (kind, words, more = {}) =>
      h(
        "button",
        { type: "button", "data-act": kind, onclick: () => act(kind, { name: about.name, ...more }) },
        words,
      );
    const row = (head, text) => (text ? [h("h4", {}, head), h("div", { class: "lab-mono" }, text)] : []);
    const buttons = [];
    if (about.kind === "machine" && about.about) {
      if (about.state === "crashed") buttons.push(button("restart", "Switch on again"));
      else buttons.push(button("crash", "Crash"));
      if (about.state === "up") buttons.push(button("freeze", "Freeze"));
      if (about.state === "frozen") buttons.push(button("thaw", "Thaw"));
    }
    const near = [];
    for (const one of scene.links.values()) {
      if (one.a.name === about.name) near.push(one.b.name);
      if (one.b.name === about.name) near.push(one.a.name);
    }
    const other = h(
      "select",
      { "aria-label": "from whom it is cut off" },
      h("option", { value: "" }, "from everybody"),
      near.slice(0, 100).map((name) => h("option", { value: name }, `from ${name}`)),
    );
    const cut = h(
      "button",
      {
        type: "button",
        "data-act": "cut",
        onclick: () => act("cut", { name: about.name, other: other.value }),
      },
      "Cut the cable",
    );
    card.replaceChildren(
      h("h3", {}, about.name),
      h("div", { class: "lab-quiet" }, about.kind === "box" ? "NAT box or firewall" : about.state),
      ...row("Addresses", about.ips.join(", ")),
      ...row("Region", about.region),
      ...row("Behind", about.box),
      ...row(about.kind === "box" ? "Behaviour" : "Peer id", about.about),
      h("h4", {}, "Since the map is shown"),
      h("div", { class: "lab-num" }, `${plural(about.sent, "packet")} sent, ${about.dropped} dropped here`),
      h("h4", {}, "Misfortune"),
      h("div", { class: "lab-bar" }, buttons),
      h("div", { class: "lab-bar" }, cut, other),
      h("button", { type: "button", onclick: () => select(null) }, "Close"),
    );
    if (focus) card.querySelector(`[data-act=${focus}]`)?.focus({ preventScroll: true });
  }

  function takeCuts(found, mine) {
    scene.setCuts(found);
    cuts.hidden = !found.length;
    cuts.replaceChildren(
      ...found.map(({ number, a, b }) => {
        const words = `${few(a)} | ${b.length ? few(b) : "everybody else"}`;
        if (!mine.includes(number)) return h("span", { class: "lab-bad" }, `Cut: ${words}`);
        const mend = () => act("heal", { number });
        return h("button", { type: "button", "data-act": "heal", onclick: mend }, `Mend: ${words}`);
      }),
    );
  }

  // -- pointer and keys -------------------------------------------------------------------------

  function place(event) {
    const box = stage.getBoundingClientRect();
    return scene.at(event.clientX - box.left, event.clientY - box.top);
  }
  stage.addEventListener("click", (event) => {
    const found = place(event);
    if (found) scene.focused = found.index;
    select(found);
  });
  stage.addEventListener("pointermove", (event) => {
    const found = place(event);
    if (scene.hovered === (found?.index ?? -1)) return;
    scene.hovered = found?.index ?? -1;
    stage.title = found ? `${found.name}, ${found.state}` : "";
    scene.wake();
  });
  card.addEventListener("keydown", (event) => event.key === "Escape" && select(null));
  stage.addEventListener("keydown", (event) => {
    const here = scene.places[scene.focused] ?? scene.places[0];
    if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (arrow) focus(scene.focused < 0 ? here : scene.next(here, arrow));
    else if (event.key === "Home") focus(scene.places[0]);
    else if (event.key === "End") focus(scene.places[scene.places.length - 1]);
    else if (event.key === "Enter") select(here);
    else if (event.key === "Escape") select(null);
    else if (event.key === " ") toggle();
    else if (event.key === "s") act("step");
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function focus(found) {
    if (!found) return;
    scene.focused = found.index;
    scene.wake();
    const behind = found.box ? `, behind ${found.box}` : "";
    say(`${found.name}, ${found.kind}, ${found.state}, in ${found.region}${behind}`);
  }

  // -- the table --------------------------------------------------------------------------------

  function drawTable() {
    const rows = scene.places.slice(0, MAX_ROWS).map((one) =>
      h(
        "tr",
        {},
        h("td", {}, h("button", { type: "button", onclick: () => select(one) }, one.name)),
        [one.kind, one.region, one.box, one.state].map((text) => h("td", {}, text)),
      ),
    );
    const heads = ["name", "kind", "region", "behind", "state"];
    const more = scene.places.length - rows.length;
    table.replaceChildren(
      h(
        "table",
        {},
        h("caption", {}, more > 0 ? `The first ${MAX_ROWS}; ${more} more` : "Machines and boxes"),
        h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, rows),
      ),
    );
  }
  list.addEventListener("toggle", () => list.open && drawTable());

  return () => {
    clearTimeout(sayTimer);
    scene.close();
    link.close();
  };
}

const few = (names) =>
  names.length > 3 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");

export default { render };
