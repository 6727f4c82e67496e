// MeshView: one or two networks with pubsub. Publish, follow the wave, stop the hearts, break things.
import { bytes, connect, h, plural, root } from "./dom.js";
import { Dots } from "./map_dots.js";
import { MeshDrawer } from "./mesh_drawer.js";
import { LOOKS, MeshScene, PULSE_TINTS, RING } from "./mesh_scene.js";

const HOP = 700; // ms of one hop of a replay
const SAY_EVERY = 3000; // ms between two sentences for screen readers
const MAX_ROWS = 300;
const SPEEDS = [0.1, 0.3, 1, 3, 10];
const SIZES = [100, 1000, 4000, 40_000, 400_000];
const OFF = 1_000_000_000; // bytes above which nobody sends IDONTWANT: never
const LEGEND = [
  ["mesh", "mesh: whole messages"],
  ["fanout", "fan-out: from a publisher that does not want the topic"],
  ["gossip", "gossip only: names of messages"],
  ["other", "a connection, nothing of this topic"],
];
const SLIDERS = [
  ["D", "D", "members that a mesh should have", 1, 20, 1],
  ["D_low", "D_low", "with fewer, graft up to D", 0, 20, 1],
  ["D_high", "D_high", "with more, prune down to D", 1, 40, 1],
  ["D_lazy", "D_lazy", "peers outside the mesh that hear gossip, at least", 0, 20, 1],
  ["gossip_factor", "gossip factor", "share of them that hears it, if that is more", 0, 1, 0.05],
  ["heartbeat_interval", "heartbeat", "seconds between two", 0.1, 5, 0.1],
];

function render({ model, el }) {
  const page = root(el, "Publish and subscribe");
  const result = h("span", { role: "status" });
  const spoken = h("div", { class: "lab-hidden", "aria-live": "polite" });
  const clock = h("span", { class: "lab-num lab-quiet" }, "waiting for the kernel");
  const topics = h("select", { "aria-label": "topic", onchange: () => act("topic", { topic: topics.value }) });
  const from = h("select", { "aria-label": "who publishes", onchange: () => select(chosen.world, from.value, true) });
  const sizes = h("select", { "aria-label": "size of the message" }, SIZES.map((one) => h("option", { value: String(one) }, bytes(one))));
  const publish = h("button", { type: "button", class: "lab-primary", onclick: () => poke("publish", from.value) }, "Publish");
  const play = h("button", { type: "button", onclick: toggle }, "Play");
  const beat = h("button", { type: "button", onclick: () => act("beat") }, "Next heartbeat");
  beat.title = "Everybody's heart beats once, and stands still";
  const speeds = h("select", { "aria-label": "speed", onchange: () => isPlaying && start() });
  const cut = h("button", { type: "button", onclick: () => act("cut") }, "Cut 40 % of the mesh");
  cut.title = "Disconnect so many of the links that carry whole messages";
  const replay = h("button", { type: "button", onclick: () => startWave() }, "Replay");
  const hop = h("button", { type: "button", onclick: nextHop }, "Next hop");
  const slider = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: 0, "aria-label": "hops of the wave", oninput: () => seek(Number(slider.value)) });
  const place = h("span", { class: "lab-num" });
  const waves = h("select", { "aria-label": "which message", onchange: () => pick(waves.value) });
  const panels = h("div", { class: "lab-panels" });
  const drawer = new MeshDrawer(poke, () => select(chosen.world, ""));
  const numbers = h("div", { class: "lab-sideways" });
  const decisions = h("div", { class: "lab-sideways" });
  const decided = h("details", {}, h("summary", {}, "What each peer decided at its last heartbeat, and why"), decisions);
  const table = h("div", { class: "lab-sideways" });
  const list = h("details", {}, h("summary", {}, "Peers and links as a table"), table);
  const tuning = h("details", { hidden: true }, h("summary", {}, "Parameters of GossipSub: D and its relatives, heartbeat, gossip"));
  const pokes = h("div", { class: "lab-bar" }, publish, h("label", {}, "from", from), sizes, play, beat, speeds, cut, result);
  const inputs = new Map();
  const legend = h("div", { class: "lab-legend" });
  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h("div", { class: "lab-bar" }, h("h3", { class: "lab-title" }, "Publish and subscribe"), h("label", {}, "topic", topics), h("span", { class: "lab-grow" }), clock),
      pokes,
      panels,
      legend,
      h("div", { class: "lab-bar lab-top" }, h("label", {}, "message", waves), replay, hop, slider, place),
      numbers,
      drawer.element,
      tuning,
      decided,
      list,
    ),
    spoken,
  );

  let worlds = []; // { about, scene, dots, status, names: Map(key → name), waves: Map(name → wave) }
  let styles = [];
  let names = []; // of control messages
  let chosen = { world: 0, name: "" };
  let labels = new Map(); // a message's name → the same with its size
  let current = ""; // the message that is drawn
  let progress = 0;
  let running = 0; // the replay's frame
  let last = 0;
  let isPlaying = false;
  let isSimulated = false;
  let said = "";
  let sayTimer = 0;

  const link = connect(model, (message) => {
    switch (message.type) {
      case "snapshot":
        begin(message);
        take(message);
        break;
      case "update":
        take(message);
        break;
      case "parameters":
        setInputs(message.parameters);
        break;
      case "result":
        result.className = message.ok ? "lab-good" : "lab-bad";
        result.textContent = message.text;
        break;
    }
  });

  function act(type, more = {}) {
    link.send({ type, ...more });
  }

  function poke(kind, name) {
    if (kind === "publish") act(kind, { name, size: Number(sizes.value) });
    else act(kind, { name });
  }

  // -- what there is ----------------------------------------------------------------------------

  function begin(message) {
    for (const world of worlds) world.scene.close();
    ({ styles, pulse_names: names } = message);
    drawer.parts = message.parts;
    drawer.grows = message.worlds.some((one) => one.grows);
    labels = new Map();
    current = "";
    worlds = message.worlds.map((about, number) => panel(about, number));
    panels.replaceChildren(...worlds.map((world) => world.element));
    drawLegend();
    const known = SPEEDS.includes(message.wanted) ? SPEEDS : [message.wanted, ...SPEEDS];
    speeds.replaceChildren(...known.map((one) => h("option", { value: String(one) }, `${one}× real time`)));
    speeds.value = String(message.wanted);
    isSimulated = message.worlds.some((one) => one.simulated);
    speeds.hidden = !isSimulated;
    const isLive = message.worlds.some((about) => about.live);
    pokes.hidden = !isLive;
    clock.hidden = !isLive;
    setInputs(message.parameters);
  }

  function panel(about, number) {
    const stage = h(
      "div",
      { class: "lab-stage", role: "group", "aria-label": `${about.title}: peers. Arrow keys move, Enter opens the drawer, p publishes.` },
      h("canvas", { "aria-hidden": "true" }),
    );
    const dots = new Dots(stage, (id) => select(number, id === null ? "" : nameOf(number, id)), describe);
    const scene = new MeshScene(stage, { moved: () => dots.place() });
    dots.scene = scene;
    stage.addEventListener("keydown", (event) => {
      const id = event.target.dataset.peer;
      if (event.key !== "p" || !id || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      poke("publish", nameOf(number, id));
    });
    stage.addEventListener("dblclick", (event) => {
      const id = event.target.dataset.peer;
      if (id) poke("publish", nameOf(number, id));
    });
    const status = h("div", { class: "lab-quiet lab-num" });
    const element = h("div", { class: "lab-panel" }, h("div", { class: "lab-panel-head" }, h("b", {}, about.title), status), stage);
    if (number === 0) page.labStats = scene.stats;
    return { about, scene, dots, status, element, names: new Map(), waves: new Map() };
  }

  const nameOf = (number, id) => worlds[number].scene.nodes.find((node) => node.id === id)?.name ?? "";

  function describe(node, count) {
    const wants = node.wants ? "wants the topic" : "does not want the topic";
    const mesh = node.mesh === null || node.mesh === undefined ? "" : `, ${node.mesh} in its mesh`;
    return `${node.state}, ${wants}${mesh}, ${plural(count, "connection")}`;
  }

  function take(message) {
    let newest = "";
    message.worlds.forEach((about, number) => {
      const world = worlds[number];
      world.about = { ...world.about, ...about };
      if (about.members) {
        world.scene.setMembers(about.members);
        world.scene.setLinks(about.links, styles);
        world.dots.draw();
        for (const node of world.scene.nodes) world.dots.label(node);
        world.status.textContent = about.summary;
      }
      world.scene.pulse(about.pulses);
      for (const wave of about.waves) newest = takeWave(world, wave) || newest;
    });
    isPlaying = message.worlds.some((one) => one.playing);
    const simulated = message.worlds.find((one) => one.simulated);
    play.textContent = isPlaying ? "Pause" : isSimulated ? "Play" : "Let hearts beat";
    clock.textContent = simulated
      ? `${simulated.now.toFixed(1)} s, ${isPlaying ? "playing" : "paused"}`
      : isPlaying
        ? "hearts beat"
        : "hearts stand still";
    offer(topics, message.topics.length ? message.topics : [message.topic], message.topic);
    if (message.worlds.some((one) => one.members)) {
      const seen = new Set(worlds.flatMap((one) => one.scene.nodes.filter((node) => node.state !== "gone" && node.kind !== "remote").map((node) => node.name)));
      offer(from, [...seen], chosen.name || from.value);
      if (list.open && !table.contains(document.activeElement)) drawTable();
      if (decided.open && message.worlds.some((one) => one.decided)) drawDecisions();
    }
    if (message.card === null || message.card.name === chosen.name) drawer.show(message.card);
    if (newest && newest !== current) {
      offer(waves, ["", ...labels.keys()], newest, (key) => labels.get(key) ?? "none: the links alone");
      pick(newest);
    } else if (message.worlds.some((one) => one.waves.length)) showWave();
    drawNumbers();
  }

  // A list of choices; it is left alone while nothing in it changes.
  function offer(choice, values, value, words = (one) => one) {
    const text = values.join("\n");
    if (choice.labValues !== text) {
      choice.labValues = text;
      choice.replaceChildren(...values.map((one) => h("option", { value: one }, words(one))));
    }
    if (values.includes(value) && choice.value !== value && document.activeElement !== choice) choice.value = value;
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

  function select(number, name, isFromList = false) {
    const isSame = chosen.world === number && chosen.name === name;
    const before = chosen;
    chosen = { world: number, name: isSame && !isFromList ? "" : name };
    worlds.forEach((world) => {
      const node = world.scene.nodes.find((one) => one.name === chosen.name);
      world.scene.selected = chosen.name && node ? node.id : null;
      world.scene.wake();
    });
    if (chosen.name) from.value = chosen.name;
    else drawer.show(null);
    act("select", chosen);
    if (!chosen.name && before.name) {
      const node = worlds[before.world].scene.nodes.find((one) => one.name === before.name);
      if (node) worlds[before.world].dots.focusOn(node.id);
    }
  }

  // -- time -------------------------------------------------------------------------------------

  function start() {
    act("play", { speed: Number(speeds.value) });
  }

  function toggle() {
    if (isPlaying) act("pause");
    else start();
  }

  // -- waves ------------------------------------------------------------------------------------

  // A message has one name in all networks: its author and which of the author's it is. Returns it if it is new.
  function takeWave(world, told) {
    const isNew = !world.names.has(told.key);
    if (isNew) world.names.set(told.key, nameFor(world, told));
    const name = world.names.get(told.key);
    const rows = (world.waves.get(name)?.rows ?? []).slice(0, told.at * 5).concat(told.rows);
    const deepest = rows.reduce((most, value, at) => (at % 5 === 3 ? Math.max(most, value) : most), 0);
    world.waves.set(name, { ...told, rows, deepest });
    labels.set(name, `${name} (${bytes(told.size)})`);
    return isNew ? name : "";
  }

  function nameFor(world, told) {
    const shared = worlds.map((one) => one.names.get(told.key)).find(Boolean);
    if (shared && !world.waves.has(shared)) return shared;
    const author = world.scene.nodes[told.origin]?.name ?? "?";
    let number = 1;
    while (world.waves.has(`${author}, no. ${number}`)) number += 1;
    return `${author}, no. ${number}`;
  }

  const drawn = () => worlds.map((world) => world.waves.get(current));
  const deepest = () => Math.max(1, ...drawn().map((wave) => wave?.deepest ?? 0));

  function pick(key) {
    current = key;
    waves.value = key;
    if (key) startWave();
    else seek(0);
  }

  function startWave() {
    cancelAnimationFrame(running);
    running = 0;
    if (worlds[0]?.scene.isCalm.matches) return seek(deepest());
    progress = 0;
    last = performance.now();
    running = requestAnimationFrame(moveWave);
    return undefined;
  }

  function moveWave(now) {
    progress += Math.min(now - last, 200) / HOP;
    last = now;
    if (progress >= deepest()) {
      progress = deepest();
      running = 0;
      const words = worlds.map((world) => {
        const wave = world.waves.get(current);
        return wave ? `${world.about.title}: ${wave.reached} reached, ${plural(wave.duplicates, "duplicate")}` : "";
      });
      say(`${current || "message"}. ${words.filter(Boolean).join("; ")}`);
    } else running = requestAnimationFrame(moveWave);
    showWave();
  }

  function seek(hops) {
    cancelAnimationFrame(running);
    running = 0;
    progress = hops;
    showWave();
  }

  function nextHop() {
    seek(progress >= deepest() ? 1 : Math.floor(progress + 1e-9) + 1);
    say(place.textContent);
  }

  function showWave() {
    const all = drawn();
    slider.max = String(deepest());
    slider.value = String(progress);
    for (const one of [slider, replay, hop]) one.disabled = !current;
    const words = worlds.map((world, number) => {
      const wave = all[number];
      world.scene.show(wave ?? null, progress);
      if (!wave) return "";
      let [first, extra] = [0, 0];
      for (let at = 0; at + 4 < wave.rows.length; at += 5) {
        if (wave.rows[at + 3] > progress) continue;
        if (wave.rows[at + 2]) first += 1;
        else extra += 1;
      }
      return `${worlds.length > 1 ? `${world.about.title}: ` : ""}${first} reached, ${extra} too many`;
    });
    place.textContent = current ? `hop ${Math.floor(progress + 1e-9)} of ${deepest()}: ${words.filter(Boolean).join("; ")}` : "";
    slider.setAttribute("aria-valuetext", place.textContent);
  }

  // -- numbers ----------------------------------------------------------------------------------

  const cells = (...texts) => texts.map((text) => h("td", { class: "lab-num" }, text));
  const heads = (...texts) => h("thead", {}, h("tr", {}, texts.map((text) => h("th", { scope: "col" }, text))));

  function drawNumbers() {
    const heaviest = Math.max(1, ...drawn().map((wave) => (wave ? wave.copies * wave.size : 0)));
    const weight = (wave) => {
      const fill = h("span");
      fill.style.width = `${(100 * wave.copies * wave.size) / heaviest}%`;
      return h("span", {}, h("span", { class: "lab-share lab-weight", "aria-hidden": "true" }, fill), bytes(wave.copies * wave.size));
    };
    const message = worlds.map((world) => {
      const wave = world.waves.get(current);
      const { messages = 0, control = 0 } = world.about.totals;
      const one = wave
        ? [String(wave.reached), String(wave.depth), String(wave.copies), `${wave.duplicates} (${Math.round((100 * wave.duplicates) / (wave.copies || 1))}%)`, weight(wave), `${wave.last.toFixed(0)} ms`]
        : ["–", "–", "–", "–", "–", "–"];
      return h(
        "tr",
        {},
        h("th", { scope: "row" }, world.about.title),
        cells(...one, bytes(messages), bytes(control)),
      );
    });
    numbers.replaceChildren(
      h("table", { class: "lab-numbers" }, heads("", "reached", "hops", "copies", "duplicates", "bytes", "last after", "all messages", "all control"), h("tbody", {}, message)),
    );
  }

  function drawDecisions() {
    const rows = worlds.flatMap((world) =>
      (world.about.decided ?? []).slice(0, MAX_ROWS).map((one) =>
        h(
          "tr",
          {},
          worlds.length > 1 ? h("td", {}, world.about.title) : null,
          h("td", {}, one.name),
          h("td", { class: "lab-num" }, String(one.beat)),
          h("td", {}, one.lines.map((line) => h("div", {}, line)), h("div", { class: "lab-quiet" }, one.verdict)),
        ),
      ),
    );
    const names = ["peer", "heartbeat", "what it decided, and why"];
    decisions.replaceChildren(h("table", {}, heads(...(worlds.length > 1 ? ["network", ...names] : names)), h("tbody", {}, rows)));
  }
  decided.addEventListener("toggle", () => {
    act("watch", { decisions: decided.open }); // not sent before anybody reads it
    if (decided.open) drawDecisions();
  });

  function drawTable() {
    const made = worlds.map((world, number) => {
      const counts = new Map();
      for (const { source, target, style } of world.scene.links.values())
        for (const node of [source, target]) {
          const known = counts.get(node.index) ?? {};
          known[style] = (known[style] ?? 0) + 1;
          counts.set(node.index, known);
        }
      const rows = world.scene.nodes.slice(0, MAX_ROWS).map((node) => {
        const known = counts.get(node.index) ?? {};
        return h(
          "tr",
          {},
          h("td", {}, h("button", { type: "button", onclick: () => select(number, node.name, true) }, node.name)),
          cells(node.state, node.wants ? "yes" : "no", ...["mesh", "fanout", "gossip", "other"].map((one) => String(known[one] ?? 0)), String(node.received), String(node.duplicates)),
        );
      });
      return h(
        "table",
        {},
        h("caption", {}, `${world.about.title}: ${world.about.summary}`),
        heads("peer", "state", "wants it", "mesh", "fan-out", "gossip only", "other", "received", "duplicates"),
        h("tbody", {}, rows),
      );
    });
    table.replaceChildren(...made);
  }
  list.addEventListener("toggle", () => list.open && drawTable());

  function drawLegend() {
    const lines = LEGEND.map(([style, words]) => {
      const { tint, width, dash } = LOOKS[style];
      const line = `<svg viewBox="0 0 34 10" width="34" height="10"><line x1="0" y1="5" x2="34" y2="5" style="stroke:var(${tint})" stroke-width="${width + 0.4}" stroke-dasharray="${dash.join(" ")}"/></svg>`;
      const key = h("span", { class: "lab-key" });
      key.innerHTML = line;
      key.append(words);
      return key;
    });
    const squares = names.map((name, at) => {
      const chip = h("span", { class: "lab-chip lab-square" }, name.toUpperCase());
      chip.style.setProperty("--layer", `var(${PULSE_TINTS[at]})`);
      return chip;
    });
    const isLarge = worlds.some((world) => (world.about.members?.length ?? 0) > RING);
    const bands = isLarge ? [h("span", { class: "lab-key" }, "Each band of peers is one hop further from the publisher.")] : [];
    legend.replaceChildren(...lines, ...squares, ...bands);
  }

  // -- parameters -------------------------------------------------------------------------------

  function setInputs(parameters) {
    tuning.hidden = !parameters;
    if (!parameters) return;
    if (!inputs.size) tuning.append(h("div", { class: "lab-tuning" }, SLIDERS.map(slide), tick("flood_publish", "own messages go to everybody (flood publishing)"), tick("idontwant_message_threshold", "IDONTWANT for messages of 1 kB and more")));
    for (const [name, input] of inputs) {
      const value = parameters[name];
      if (name === "idontwant_message_threshold") input.checked = value < OFF;
      else if (input.type === "checkbox") input.checked = value;
      else {
        input.value = String(value);
        input.labShow();
      }
    }
  }

  function slide([name, words, title, min, max, step]) {
    const shown = h("span", { class: "lab-num" });
    const input = h("input", { type: "range", min, max, step, "aria-label": `${words}: ${title}`, "data-parameter": name, oninput: () => input.labShow(), onchange: use });
    input.labShow = () => (shown.textContent = input.value);
    inputs.set(name, input);
    return h("label", { title }, h("span", { class: "lab-mono" }, words), input, shown);
  }

  function tick(name, words) {
    const input = h("input", { type: "checkbox", "data-parameter": name, onchange: use });
    inputs.set(name, input);
    return h("label", {}, input, words);
  }

  function use() {
    const parameters = {};
    for (const [name, input] of inputs) {
      if (name === "idontwant_message_threshold") parameters[name] = input.checked ? 1024 : OFF;
      else parameters[name] = input.type === "checkbox" ? input.checked : Number(input.value);
    }
    act("use", { parameters });
  }

  return () => {
    clearTimeout(sayTimer);
    cancelAnimationFrame(running);
    for (const world of worlds) world.scene.close();
    link.close();
  };
}

export default { render };
