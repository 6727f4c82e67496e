// NatBench: two homes behind routers of your choice; step by step through what happens; all 81 pairs.
import { connect, h, root } from "./dom.js";
import { NatMatrix } from "./nat_matrix.js";
import { NatScene } from "./nat_scene.js";

const PLAY = 900; // milliseconds a step
const WAYS = [
  ["endpoint-independent", "independent"],
  ["address-dependent", "by address"],
  ["address-and-port-dependent", "by address and port"],
];
const PORTS = [
  ["preserve", "kept if free"],
  ["random", "random"],
  ["sequential", "the next one"],
];
const SWITCHES = [
  ["rejects", "answers strangers “no”", "Tells who is not let in that he is not (RST, ICMP), instead of saying nothing"],
  ["rst_closes", "a “no” shuts its door", "A RST from outside takes back what a SYN has opened, as in Linux"],
  ["simultaneous_open", "lets SYNs cross", "A SYN may answer a SYN"],
];
const SPEECH = [
  ["datagrams", "Datagrams", "Two small programs and nothing else: the clearest to look at"],
  ["tcp", "Hosts, TCP", "The lab's hosts: relay, DCUtR, simultaneous open"],
  ["quic", "Hosts, QUIC", "The lab's hosts: relay, DCUtR, datagrams that open the box"],
];
const TIMEOUTS = [2, 5, 10, 20, 30, 60, 120, 300, 7200];
const SILENCES = [0, 1, 3, 10, 30, 60, 100, 150, 300, 600];
const BYTES = [16, 64, 256, 1024, 2048, 4096, 16384, 131072, 0];
const SECONDS = [1, 2, 5, 10, 30, 60, 120, 600, 0];

function render({ model, el }) {
  const page = root(el, "Two homes behind routers");
  let told = null;
  let cells = null;
  let shown = []; // the places of the steps that are gone through
  let at = 0; // how many of them are over
  let timer = null;
  const scene = new NatScene();
  const matrix = new NatMatrix((cell) => link.send({ type: "pair", cell }));
  const status = h("div", { class: "lab-verdict", role: "status", "data-summary": true }, "waiting for the kernel");
  const problem = h("span", { class: "lab-bad", role: "status" });
  const said = h("p", { class: "lab-nat-said", role: "status", "aria-live": "polite" });
  const rule = h("p", { class: "lab-nat-rule" });
  const list = h("div", { class: "lab-checks lab-xor-scroll" });
  const counted = h("span", { role: "status", "data-counts": true });
  const link = connect(model, (message) => {
    if (message.type === "bench") {
      const isNew = !told || JSON.stringify(told.steps) !== JSON.stringify(message.steps);
      told = message;
      if (message.cells) cells = message.cells;
      problem.textContent = "";
      page.classList.remove("lab-nat-busy");
      if (isNew) begin();
      draw();
    } else if (message.type === "cells") {
      cells = message;
      if (told) drawMatrix();
    } else if (message.type === "problem") {
      problem.textContent = message.text;
      page.classList.remove("lab-nat-busy");
    }
  });
  const change = (content) => {
    page.classList.add("lab-nat-busy");
    link.send(content);
  };

  // -- what can be changed ------------------------------------------------------------------------

  const speech = SPEECH.map(([value, label, title]) => h("button", { type: "button", title, "data-speech": value, onclick: () => change({ type: "speech", value }) }, label));
  const homes = { alice: homePanel("alice"), bob: homePanel("bob") };
  const pokes = {
    timeout: slider("timeout", "Mapping time-out", TIMEOUTS, seconds, "What is not used for so long is forgotten, by both routers", (value) => ({ type: "timeout", value })),
    silence: slider("silence", "Silence afterwards", SILENCES, (n) => (n ? seconds(n) : "none"), "Then bob says a word again: is the hole still there?"),
    slow: slider("slow", "Relay to bob slower by", [0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3], (n) => `${Math.round(1000 * n)} ms`, "The way there takes longer than the way back: half of the round trip is a wrong guess"),
    retries: slider("retries", "Exchanges at most", [1, 2, 3, 5], String, "The spec: 3"),
    relay_bytes: slider("relay_bytes", "Relay grants", BYTES, (n) => (n >= 1024 ? `${n / 1024} KiB` : n ? `${n} B` : "any bytes"), "Bytes each way; the spec's default is 128 KiB"),
    relay_seconds: slider("relay_seconds", "for", SECONDS, (n) => (n ? seconds(n) : "any time"), "Seconds that the relay serves the two; the spec's default is 2 minutes"),
    skew: slider("skew", "bob's is ahead by", [-10, -5, -2, -1, -0.5, 0, 0.5, 1, 2, 5, 10], (n) => `${n} s`, "Bob's clock, compared with alice's"),
  };
  const reuse = h("button", { type: "button", "data-switch": "reuse", title: "Punch from the port that the relay has seen. Without it from another one", onclick: () => change({ type: "switch", name: "reuse", value: !told.plan.reuse }) }, "Same port for the punch");
  const clock = h("button", { type: "button", "data-switch": "by_clock", title: "Agree on a time of day, instead of measuring a round trip", onclick: () => change({ type: "switch", name: "by_clock", value: !told.plan.by_clock }) }, "Go by clocks");

  function slider(name, label, values, words, title, message = (value) => ({ type: "number", name, value })) {
    const value = h("span", { class: "lab-num lab-nat-value" });
    const input = h("input", { type: "range", class: "lab-short", min: 0, max: values.length - 1, "data-slider": name, onkeydown: still, oninput: () => (value.textContent = words(values[input.value])), onchange: () => change(message(values[input.value])) });
    const set = (real) => {
      const nearest = values.reduce((best, one, n) => (Math.abs(one - real) < Math.abs(values[best] - real) ? n : best), 0);
      if (document.activeElement !== input) input.value = nearest;
      value.textContent = words(real);
      input.setAttribute("aria-valuetext", value.textContent);
    };
    return { set, input, element: h("label", { title }, label, input, value) };
  }

  function homePanel(who) {
    const choice = (name, label, options, title) => {
      const select = h("select", { "data-home": `${who}.${name}`, onkeydown: still, onchange: () => change({ type: "home", who, name, value: select.value }) }, options.map(([value, words]) => h("option", { value }, words)));
      return { select, element: h("label", { class: "lab-nat-choice", "data-rule": name, title }, label, select) };
    };
    const choices = {
      mapping: choice("mapping", "Mapping", WAYS, "Does one inner port keep one outer port, whomever it calls?"),
      filtering: choice("filtering", "Filtering", WAYS, "Who outside may answer?"),
      ports: choice("ports", "Outer port", PORTS, "Which outer port a new mapping gets"),
    };
    const switches = SWITCHES.map(([name, label, title]) => {
      const input = h("input", { type: "checkbox", "data-home": `${who}.${name}`, onchange: () => change({ type: "home", who, name, value: input.checked }) });
      return { name, input, element: h("label", { "data-rule": name, title }, input, label) };
    });
    const rows = h("tbody", {});
    const element = h(
      "section",
      { class: "lab-nat-home", "aria-label": `${who}'s router`, "data-router": who },
      h("h4", {}, `${who[0].toUpperCase()}${who.slice(1)}'s router`),
      h("div", { class: "lab-nat-choices" }, Object.values(choices).map((one) => one.element)),
      h(
        "div",
        { class: "lab-nat-switches" },
        switches.map((one) => one.element),
      ),
      h("div", { class: "lab-checks lab-nat-table" }, h("table", { "aria-label": `Mappings of ${who}'s router` }, h("thead", {}, h("tr", {}, ["inside → seen as", "may come in", "left"].map((name) => h("th", { scope: "col" }, name)))), rows)),
    );
    return { element, choices, switches, rows };
  }

  // -- going through the steps ----------------------------------------------------------------------

  const steps = h("input", { type: "range", min: 0, max: 0, class: "lab-nat-steps", "aria-label": "Step", "data-steps": true, onkeydown: still, oninput: () => go(Number(steps.value)) });
  const count = h("span", { class: "lab-num lab-xor-count" });
  const play = h("button", { type: "button", class: "lab-primary", "data-play": true, onclick: toggle }, "Play");
  const every = h("input", { type: "checkbox", "data-every": true, onchange: () => { begin(); draw(); } });
  const everyLabel = h("label", { title: "Otherwise only those that change a table, are dropped, or open something" }, every, "every packet");
  const all = h("button", { type: "button", class: "lab-primary", "data-all": true, onclick: () => link.send({ type: cells?.trying ? "stop" : "all" }) }, "Try all 81");
  const stage = h(
    "div",
    { class: "lab-nat-stage", tabindex: 0, role: "group", "aria-label": "The two homes; arrow keys step", onkeydown: (event) => {
      const wanted = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: shown.length }[event.key];
      if (wanted === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      go(wanted);
    } },
    scene.svg,
  );

  page.append(
    h(
      "div",
      { class: "lab-frame lab-nat" },
      h("div", { class: "lab-bar" }, h("h3", { class: "lab-title" }, "Two homes"), h("span", { class: "lab-group", role: "group", "aria-label": "What is sent" }, speech), h("button", { type: "button", "data-again": true, title: "Once more, with other random ports", onclick: () => change({ type: "again" }) }, "Once more"), problem),
      status,
      stage,
      h("div", { class: "lab-bar lab-top" }, h("button", { type: "button", "data-back": true, onclick: () => go(at - 1) }, "◀ Step"), h("button", { type: "button", "data-forward": true, onclick: () => go(at + 1) }, "Step ▶"), play, steps, count, h("button", { type: "button", "data-drop": true, title: "To the next packet that is dropped", onclick: nextDrop }, "Next drop"), everyLabel),
      h("div", { class: "lab-nat-words" }, said, rule),
      h("div", { class: "lab-nat-homes" }, homes.alice.element, homes.bob.element),
      h("div", { class: "lab-bar lab-top" }, pokes.timeout.element, pokes.silence.element, pokes.slow.element, pokes.retries.element, reuse, pokes.relay_bytes.element, pokes.relay_seconds.element, clock, pokes.skew.element),
      h("div", { class: "lab-bar" }, h("b", {}, "Which pairs can punch?"), all, counted),
      h("div", { class: "lab-nat-pairs" }, matrix.element, h("div", { class: "lab-nat-key" }, key("hole", "●", "they can talk"), key("one way", "◐", "a packet of one comes through, no talk comes of it"), key("relay", "·", "no packet comes through"), key("nothing", "×", "they do not even meet"), h("p", { class: "lab-quiet" }, "Mapping/filtering: EI independent, AD by address, APD by address and port. Choose a cell to run that pair; its steps are above."))),
      h("details", {}, h("summary", {}, "All steps as a table"), list),
    ),
  );

  function key(level, mark, words) {
    return h("div", {}, h("span", { class: "lab-nat-cell", "data-level": level, "aria-hidden": "true" }, mark), ` ${words}`);
  }

  function begin() {
    shown = told.steps.map((_, n) => n).filter((n) => told.speech === "datagrams" || every.checked || told.steps[n].key);
    at = shown.length;
    // Begin where something is to be seen: at the first drop; else at the end.
    const first = shown.findIndex((n) => told.steps[n].moment === "dropped");
    if (first >= 0) at = first + 1;
  }

  function go(wanted) {
    at = Math.min(Math.max(wanted, 0), shown.length);
    if (told) drawStep();
  }

  function nextDrop() {
    const next = shown.findIndex((n, place) => place >= at && told.steps[n].moment === "dropped");
    const first = shown.findIndex((n) => told.steps[n].moment === "dropped");
    go((next >= 0 ? next : first) + 1);
  }

  function toggle() {
    if (timer) return stop();
    if (told && at >= shown.length) go(0);
    play.textContent = "Pause";
    timer = setInterval(() => (told && at < shown.length ? go(at + 1) : stop()), PLAY);
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }

  // -- drawing ----------------------------------------------------------------------------------------

  function draw() {
    status.textContent = told.words;
    status.classList.toggle("lab-no", told.level !== "hole");
    for (const button of speech) button.setAttribute("aria-pressed", String(button.dataset.speech === told.speech));
    for (const [who, panel] of Object.entries(homes)) {
      const home = told.homes[who];
      for (const [name, one] of Object.entries(panel.choices)) one.select.value = home[name];
      for (const { name, input } of panel.switches) input.checked = home[name];
    }
    for (const [name, one] of Object.entries(pokes)) one.set(told.plan[name]);
    reuse.setAttribute("aria-pressed", String(told.plan.reuse));
    clock.setAttribute("aria-pressed", String(told.plan.by_clock));
    pokes.skew.element.hidden = !told.plan.by_clock;
    everyLabel.hidden = told.speech === "datagrams";
    const addresses = { alice: "192.168.1.2", bob: "192.168.1.2" };
    for (const [ip, who] of Object.entries(told.places)) addresses[who.endsWith("'s router") ? `router of ${who.slice(0, -9)}` : who] = ip;
    for (const step of told.steps) if (step.moment === "leaves" && step.where.startsWith("router")) addresses[step.path[0]] = inner(step.path[0], step.tables);
    scene.name(addresses);
    drawStep();
    drawMatrix();
    const head = ["time", "what happens", "by which rule"].map((name) => h("th", { scope: "col" }, name));
    list.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, shown.map((n) => told.steps[n]).map((step) => h("tr", {}, h("td", { class: "lab-num" }, ms(step.time)), h("td", {}, step.words), h("td", {}, step.rule))))));
  }

  const inner = (who, tables) => (told.tables[tables][who][0]?.inside ?? "").split(":")[0];

  function drawStep() {
    const step = at ? told.steps[shown[at - 1]] : null;
    steps.max = shown.length;
    steps.value = at;
    steps.setAttribute("aria-valuetext", step ? step.words : "before the first step");
    count.textContent = `${at} of ${shown.length}`;
    said.replaceChildren(...(step ? [h("span", { class: "lab-num lab-quiet" }, `${ms(step.time)} `), step.words] : ["Nothing has happened yet. Both routers' tables are empty."]));
    said.dataset.moment = step?.moment ?? "";
    rule.textContent = step?.rule ?? "";
    scene.svg.setAttribute("aria-label", step ? step.words : "Two homes, two routers, a relay, a public peer");
    scene.draw(step, step ? flying(step) : []);
    scene.open(doors(step));
    drawTables(step);
    for (const [who, panel] of Object.entries(homes)) {
      const isDropping = step?.moment === "dropped" && step.where === `router of ${who}`;
      const guilty = { filtered: "filtering", "no mapping": "mapping", "simultaneous open": "simultaneous_open" }[step?.reason];
      for (const label of panel.element.querySelectorAll("[data-rule]")) label.classList.toggle("lab-nat-guilty", isDropping && label.dataset.rule === guilty);
    }
  }

  /** Packets that are on their way at the moment of this step, besides its own. */
  function flying(step) {
    const left = new Map();
    const found = [];
    for (const one of told.steps) {
      if (!one.number) continue;
      if (one.moment === "leaves") left.set(one.number, one);
      else if (left.has(one.number)) {
        const start = left.get(one.number);
        left.delete(one.number);
        if (start.time <= step.time && one.time > step.time && one.number !== step.number) {
          const part = (step.time - start.time) / Math.max(one.time - start.time, 1e-9);
          found.push({ number: one.number, path: start.path, part: 0.25 + 0.7 * part, kind: start.kind });
        }
      }
    }
    return found;
  }

  /** For each home: whether its router would let in what the other's router sends, at this moment. */
  function doors(step) {
    const tables = step ? told.tables[step.tables] : { alice: [], bob: [] };
    const isOpen = (who, other) => tables[who].some((mine) => tables[other].some((theirs) => admits(mine, theirs.outside, told.homes[who].filtering) && admits(theirs, mine.outside, told.homes[other].mapping)));
    return { alice: isOpen("alice", "bob"), bob: isOpen("bob", "alice") };
  }

  /** Whether a mapping stands for a remote, by one of the three ways to look at it. */
  function admits(row, remote, way) {
    if (way === "endpoint-independent") return true;
    const ip = remote.split(":")[0];
    return row.remotes.some(([called]) => (way === "address-dependent" ? called.split(":")[0] === ip : called === remote));
  }

  function drawTables(step) {
    const tables = step ? told.tables[step.tables] : { alice: [], bob: [] };
    const now = step?.time ?? 0;
    for (const [who, panel] of Object.entries(homes)) {
      const filtering = told.homes[who].filtering;
      const rows = (tables[who] ?? []).map((row) =>
        h(
          "tr",
          { class: step?.new === row.outside ? "lab-nat-new" : "", "data-outside": row.outside },
          h("td", { class: "lab-mono" }, row.inside, h("div", {}, "→ ", h("b", {}, row.outside))),
          h("td", { class: "lab-mono" }, mayAnswer(row, filtering, now)),
          h("td", { class: "lab-num" }, seconds(Math.max(0, row.expires - now))),
        ),
      );
      panel.rows.replaceChildren(...(rows.length ? rows : [h("tr", {}, h("td", { colspan: 3, class: "lab-quiet" }, "empty: nobody has called out"))]));
    }
  }

  function mayAnswer(row, filtering, now) {
    if (filtering === "endpoint-independent") return "anybody";
    const live = row.remotes.filter(([, until]) => until >= now).map(([remote]) => remote);
    const names = filtering === "address-dependent" ? [...new Set(live.map((remote) => `${remote.split(":")[0]}:*`))] : live;
    if (!names.length) return "nobody";
    return names.map((name) => h("div", {}, name, h("span", { class: "lab-quiet" }, ` ${told.places[name.split(":")[0]] ?? ""}`)));
  }

  function drawMatrix() {
    if (!cells) return;
    matrix.draw(cells, told.cell);
    counted.textContent = cells.counts;
    const done = cells.levels.flat().filter(Boolean).length;
    all.textContent = cells.trying ? "Stop" : done === 81 ? "All tried" : "Try all 81";
    all.disabled = !cells.trying && done === 81;
  }

  return () => {
    stop();
    link.close();
  };
}

const ms = (time) => `${Math.round(1000 * time).toLocaleString("en")} ms`;

function seconds(n) {
  if (n >= 3600) return `${Math.round(n / 360) / 10} h`;
  return n >= 10 ? `${Math.round(n)} s` : `${Math.round(10 * n) / 10} s`;
}

// JupyterLab has other plans for arrow keys.
function still(event) {
  event.stopPropagation();
}

export default { render };
