// XorTree: the peers of a DHT as leaves of a binary tree; the buckets of one; a lookup, stepped.
import { connect, h, onTheme, plural, root, s } from "./dom.js";
import { requests, stateAfter } from "./xor_lookup.js";
import { CLIENT, GONE, SYBIL, Scene } from "./xor_scene.js";

const SIZES = [10, 25, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
const STATES = { heard: "heard of", waiting: "asked, no answer yet", answered: "✓ answered", failed: "✕ no answer" };
const PLAY = 450; // milliseconds a step

function render({ model, el }) {
  const page = root(el, "The tree of a DHT's peers");
  let told = null; // the kernel's last word
  let at = 0; // steps of the lookup that are shown
  let zoom = 0;
  let selected = -1;
  let timer = null;

  const link = connect(model, (message, buffers) => {
    if (message.type === "state") take(message, buffers);
    else if (message.type === "problem") status.textContent = message.text;
  });

  // -- parts ------------------------------------------------------------------------------------

  const status = h("div", { class: "lab-verdict", role: "status" }, "waiting for the kernel");
  const canvas = h("canvas", {
    tabindex: 0,
    role: "img",
    "aria-label": "The tree of peers. Arrow keys choose a peer, Enter looks at the world from there; the tables below say the same.",
    onkeydown: pressed,
    onpointerdown: grab,
    onpointermove: (event) => dragging && moveKey(event),
    onpointerup: drop,
  });
  const stage = h("div", { class: "lab-stage lab-xor-stage" }, canvas);
  const scene = new Scene(canvas);
  const card = h("div", { class: "lab-bar lab-xor-card", "aria-live": "polite" });
  const said = h("p", { class: "lab-xor-said", role: "status" });
  const lanes = h("div", { class: "lab-xor-part" });
  const ladder = h("div", { class: "lab-xor-part" });
  const list = h("div", { class: "lab-xor-part lab-xor-list" });
  const filled = h("div", { class: "lab-xor-part" });

  const steps = h("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Step of the lookup", "data-steps": true, onkeydown: still, oninput: () => go(Number(steps.value)) });
  const count = h("span", { class: "lab-num lab-xor-count" });
  const play = h("button", { type: "button", "data-play": true, onclick: toggle }, "Play");
  const stepping = h(
    "div",
    { class: "lab-bar" },
    h("b", {}, "Lookup"),
    h("button", { type: "button", "data-back": true, onclick: () => go(at - 1) }, "◀ Step"),
    h("button", { type: "button", "data-forward": true, onclick: () => go(at + 1) }, "Step ▶"),
    play,
    steps,
    count,
  );

  const key = h("input", { type: "text", class: "lab-xor-key", "aria-label": "Key, as a text", "data-key": true, onkeydown: (event) => { event.stopPropagation(); if (event.key === "Enter") search(); } });
  const place = h("input", { type: "range", class: "lab-short", min: 0, max: 1000, "aria-label": "Place of the key", "data-place": true, onkeydown: still, onchange: () => link.send({ type: "target", at: Math.min(Number(place.value) / 1000, 0.9999) }) });
  const find = h("button", { type: "button", class: "lab-primary", "data-search": true, onclick: search }, "Search");
  const closer = h("button", { type: "button", "data-zoom": "in", title: "Show the half of the tree around the key", onclick: () => zoomTo(zoom + 1) }, "Zoom to key");
  const wider = h("button", { type: "button", "data-zoom": "out", onclick: () => zoomTo(zoom - 1) }, "Out");
  const sliders = {
    peers: slider("peers", "Peers", 0, SIZES.length - 1, 1, (n) => SIZES[n].toLocaleString("en"), (n) => SIZES[n]),
    k: slider("k", "k", 1, 40, 1, String),
    alpha: slider("alpha", "α", 1, 20, 1, String),
    gone: slider("gone", "Gone", 0, 90, 5, (n) => `${n} %`, (n) => n / 100),
    clients: slider("clients", "Clients", 0, 90, 5, (n) => `${n} %`, (n) => n / 100),
    sybils: slider("sybils", "Sybils", 0, 60, 5, String),
  };
  const switches = [
    ["clients_in_tables", "Clients in tables", "A mistake: clients cannot be reached, yet they are taken into tables"],
    ["numeric", "Distance by subtraction", "A mistake: sort by the difference of two numbers instead of XOR"],
  ].map(([name, label, title]) =>
    h("button", { type: "button", "data-switch": name, title, onclick: () => change({ [name]: !told.scene[name] }) }, label),
  );
  const own = h(
    "div",
    { class: "lab-bar", hidden: true },
    Object.values(sliders).map((one) => one.element),
    h("button", { type: "button", "data-kill": true, onclick: () => change({ gone: 0.3 }) }, "Kill 30 %"),
    switches,
    h("button", { type: "button", "data-spec": true, title: "k = 20, α = 10", onclick: () => change({ k: 20, alpha: 10 }) }, "As in the spec"),
    h("button", { type: "button", "data-mend": true, onclick: () => link.send({ type: "mend" }) }, "Mend all"),
  );

  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h(
        "div",
        { class: "lab-bar" },
        h("h3", { class: "lab-title" }, "Tree of peers"),
        h("label", {}, "Key", key),
        h("label", {}, "or its place", place),
        find,
        h("span", { class: "lab-grow" }),
        closer,
        wider,
      ),
      own,
      status,
      stage,
      h(
        "p",
        { class: "lab-xor-legend lab-quiet" },
        "Blue path: the peer from whom you look. Each coloured sub-tree is one of its buckets; large dots are those it knows. ✕ gone, ○ client, red square: sybil. Drag the key; click a peer.",
      ),
      card,
      stepping,
      said,
      h("div", { class: "lab-xor-grid" }, lanes, ladder, list, filled),
    ),
  );

  function slider(name, label, min, max, step, shown, value = (n) => n) {
    const input = h("input", {
      type: "range",
      class: "lab-short",
      min,
      max,
      step,
      "data-slider": name,
      onkeydown: still,
      oninput: () => {
        text.textContent = shown(Number(input.value));
        change({ [name]: value(Number(input.value)) });
      },
    });
    const text = h("span", { class: "lab-num lab-xor-value" });
    const set = (real) => {
      const wanted = name === "peers" ? nearest(real) : name === "gone" || name === "clients" ? Math.round(100 * real) : real;
      if (document.activeElement !== input) input.value = wanted;
      text.textContent = shown(Number(input.value));
      input.setAttribute("aria-valuetext", text.textContent);
    };
    return { set, element: h("label", {}, label, input, text) };
  }

  // -- from the kernel --------------------------------------------------------------------------

  function take(message, buffers) {
    const before = told?.trail;
    const wasAtEnd = !before || at >= before.steps.length;
    told = message;
    const raw = new Uint8Array(buffers[0].buffer, buffers[0].byteOffset, buffers[0].byteLength).slice();
    told.spots = new Float64Array(raw.buffer);
    told.flags = new Uint8Array(buffers[1].buffer, buffers[1].byteOffset, buffers[1].byteLength);
    if (selected >= told.spots.length) selected = -1;
    if (!before || wasAtEnd) at = told.trail?.steps.length ?? 0;
    at = Math.min(at, told.trail?.steps.length ?? 0);
    own.hidden = told.scene === null;
    if (told.scene) {
      for (const [name, one] of Object.entries(sliders)) one.set(told.scene[name]);
      for (const button of switches) button.setAttribute("aria-pressed", String(told.scene[button.dataset.switch]));
    }
    find.disabled = place.disabled = key.disabled = !told.can_search;
    if (document.activeElement !== key) key.value = told.key;
    if (document.activeElement !== place) place.value = Math.round(told.target * 1000);
    status.textContent = told.summary;
    draw();
  }

  function draw() {
    const trail = told.trail;
    const now = trail ? stateAfter(trail, at) : null;
    scene.data = { ...told, now, selected };
    if (zoom) scene.zoom(told.target, zoom);
    else scene.zoom(0, 0);
    stepping.hidden = !trail;
    steps.max = trail?.steps.length ?? 0;
    steps.value = at;
    count.textContent = trail ? `${at} of ${trail.steps.length}` : "";
    said.textContent = now ? words(now, trail) : "";
    drawCard();
    drawLanes(trail, now);
    drawLadder(trail, now);
    drawList(trail, now);
    drawFilled();
  }

  const nameOf = (peer) => told.names[peer] ?? Math.floor(told.spots[peer] * 2 ** 20).toString(16).padStart(5, "0");

  function words(now, trail) {
    const next = now.next.length ? `Next it asks ${now.next.map(nameOf).join(", ")}: the closest of the shortlist not asked yet, α = ${trail.alpha} at a time.` : "";
    const end = at === trail.steps.length ? `The end: ${trail.closest.length} found.` : next || (now.inFlight ? "All lanes are taken, or nobody closer is left to ask: it waits." : "");
    if (!now.last) return `${nameOf(trail.asker)} begins with the ${trail.seeds.length} closest peers in its own table. ${end}`;
    const who = nameOf(now.last.peer);
    const ms = now.time >= 1 ? `${now.time.toFixed(2)} s` : `${Math.round(1000 * now.time)} ms`;
    if (now.last.kind === "waiting") return `${ms}: ${who} is asked. ${end}`;
    if (now.last.kind === "failed") return `${ms}: ${who} does not answer (${now.last.why}); it is struck off. ${end}`;
    return `${ms}: ${who} answers and names ${plural(now.last.named.length, "new peer")}. ${end}`;
  }

  function drawCard() {
    const peer = selected >= 0 ? selected : told.viewer;
    const flags = told.flags[peer];
    const kind = flags & SYBIL ? "a sybil" : flags & GONE ? "gone" : flags & CLIENT ? "a client" : "a server";
    const bits = Math.floor(told.spots[peer] * 2 ** 20).toString(2).padStart(20, "0");
    const poke = (what, label) => h("button", { type: "button", "data-poke": what, onclick: () => link.send({ type: "poke", peer, what }) }, label);
    card.replaceChildren(
      h("b", {}, nameOf(peer)),
      h("span", { class: "lab-mono" }, `${bits}…`),
      h("span", { class: "lab-quiet" }, peer === told.viewer ? `${kind}; you see the world from here: ${plural(told.table.length, "peer")} in its table` : `${kind}; ${told.table.includes(peer) ? "in" : "not in"} the table of ${nameOf(told.viewer)}`),
      ...(peer === told.viewer ? [] : [h("button", { type: "button", "data-see": true, onclick: () => see(peer) }, "See the world from here")]),
      ...((told.scene || told.ours.includes(peer)) && !(flags & SYBIL) && peer !== told.viewer
        ? [poke(flags & GONE ? "server" : "gone", flags & GONE ? "Back again" : "Kill"), poke(flags & CLIENT ? "server" : "client", flags & CLIENT ? "Make it a server" : "Make it a client")]
        : []),
    );
  }

  function drawLanes(trail, now) {
    lanes.hidden = !trail;
    if (!trail) return;
    const bars = requests(trail);
    const rows = Math.max(1, ...bars.map(([lane]) => lane + 1));
    const high = Math.min(16, 150 / rows);
    const span = Math.max(trail.seconds, 0.001);
    const x = (time) => 30 + (360 * time) / span;
    const svg = s("svg", { viewBox: `0 0 400 ${rows * high + 20}`, role: "img", "aria-label": `${bars.length} requests in ${rows} lanes over ${trail.seconds.toFixed(2)} seconds` });
    for (const [lane, from, to, peer, failed, hop] of bars) {
      const isPast = from <= now.time && at > 0;
      const bar = s("rect", { x: x(from), y: lane * high + 1, width: Math.max(2, x(to) - x(from) - 1), height: high - 2, rx: 2, class: failed ? "lab-xor-bar lab-xor-failed" : "lab-xor-bar", "data-hop": (hop - 1) % 6, opacity: isPast ? 1 : 0.22 });
      bar.append(s("title", {}, document.createTextNode(`${nameOf(peer)}, hop ${hop}: ${Math.round(1000 * from)} to ${Math.round(1000 * to)} ms${failed ? ", no answer" : ""}`)));
      svg.append(bar);
    }
    for (let lane = 0; lane < rows; lane += rows > 12 ? 5 : 1) svg.append(s("text", { x: 22, y: lane * high + high / 2 + 4, "text-anchor": "end" }, document.createTextNode(String(lane + 1))));
    svg.append(s("line", { x1: x(now.time), x2: x(now.time), y1: 0, y2: rows * high, class: "lab-xor-now" }));
    svg.append(s("text", { x: 30, y: rows * high + 15 }, document.createTextNode("0")), s("text", { x: 390, y: rows * high + 15, "text-anchor": "end" }, document.createTextNode(`${trail.seconds.toFixed(2)} s`)));
    lanes.replaceChildren(h("h4", {}, `Requests in flight: ${now.inFlight} of α = ${trail.alpha} lanes`), svg);
  }

  function drawLadder(trail, now) {
    ladder.hidden = !trail;
    if (!trail) return;
    const most = Math.max(4, ...trail.shared);
    const rounds = Math.max(1, ...trail.steps.map((step) => step[3]));
    const high = 24;
    const x = (bits) => 40 + (350 * bits) / most;
    const svg = s("svg", { viewBox: `0 0 400 ${rounds * high + 34}`, role: "img", "aria-label": "How many leading bits the peers of each hop share with the key" });
    for (let bits = 0; bits <= most; bits += most > 12 ? 4 : 2) {
      svg.append(s("line", { x1: x(bits), x2: x(bits), y1: 0, y2: rounds * high, class: "lab-tick" }));
      svg.append(s("text", { x: x(bits), y: rounds * high + 14, "text-anchor": "middle" }, document.createTextNode(String(bits))));
    }
    trail.order.forEach((peer, n) => {
      const state = now.states.get(peer);
      if (!state || state.round > rounds) return;
      svg.append(s("circle", { cx: x(trail.shared[n]) + ((peer * 7) % 9) - 4, cy: (state.round - 0.5) * high + ((peer * 5) % 11) - 5, r: state.kind === "heard" ? 2.2 : 4, class: `lab-xor-dot lab-xor-${state.kind}` }));
    });
    for (let round = 1; round <= rounds; round += 1) svg.append(s("text", { x: 4, y: (round - 0.5) * high + 4 }, document.createTextNode(`hop ${round}`)));
    ladder.replaceChildren(h("h4", {}, "Each hop shares more leading bits with the key"), svg, h("p", { class: "lab-quiet" }, "bits shared with the key →"));
  }

  function drawList(trail, now) {
    list.hidden = !trail;
    if (!trail) return;
    const shared = new Map(trail.order.map((peer, n) => [peer, trail.shared[n]]));
    const next = new Set(now.next);
    const row = (peer, n) => {
      const state = now.states.get(peer);
      return h(
        "tr",
        { "data-state": state.kind, "data-next": next.has(peer) },
        h("td", { class: "lab-num" }, String(n + 1)),
        h("td", {}, h("button", { type: "button", class: "lab-xor-name lab-mono", onclick: () => choose(peer) }, nameOf(peer))),
        h("td", { class: "lab-num" }, String(shared.get(peer))),
        h("td", { class: "lab-num" }, String(state.round)),
        h("td", {}, next.has(peer) ? "▶ asked next" : STATES[state.kind]),
        h("td", { class: "lab-mono" }, state.by === null ? "own table" : nameOf(state.by)),
      );
    };
    const struck = [...now.states].filter(([, state]) => state.kind === "failed").map(([peer]) => nameOf(peer));
    list.replaceChildren(
      h("h4", {}, `Shortlist: the ${now.shortlist.length} closest heard of`),
      h(
        "div",
        { class: "lab-checks lab-xor-scroll", tabindex: 0 },
        h("table", {}, h("thead", {}, h("tr", {}, ["", "peer", "bits", "hop", "state", "named by"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, now.shortlist.map(row))),
      ),
      ...(struck.length ? [h("p", { class: "lab-quiet" }, `Struck off: ${struck.join(", ")}`)] : []),
    );
  }

  function drawFilled() {
    const { sizes, expected, ideal, k } = told;
    const wide = 360 / Math.max(sizes.length, 1);
    const top = Math.max(k, ...sizes, 1);
    const y = (value) => 106 - (92 * value) / top;
    const svg = s("svg", { viewBox: "0 0 400 132", role: "img", "aria-label": `Peers in each bucket: ${sizes.join(", ")}; expected ${expected.map((e) => e.toFixed(1)).join(", ")}` });
    sizes.forEach((size, n) => {
      const x = 32 + n * wide;
      const bar = s("rect", { x: x + 1.5, y: y(size), width: Math.max(1, wide - 3), height: 106 - y(size), class: "lab-xor-fill", "data-hop": (n + 1) % 6 });
      bar.append(s("title", {}, document.createTextNode(`bucket ${n}: ${size} peers, expected ${expected[n].toFixed(1)}`)));
      svg.append(bar, s("line", { x1: x, x2: x + wide, y1: y(expected[n]), y2: y(expected[n]), class: "lab-xor-ideal" }));
      if (sizes.length <= 18 || n % 2 === 0) svg.append(s("text", { x: x + wide / 2, y: 120, "text-anchor": "middle" }, document.createTextNode(String(n))));
    });
    svg.append(s("text", { x: 26, y: y(k) + 4, "text-anchor": "end" }, document.createTextNode(String(k))), s("text", { x: 26, y: 108, "text-anchor": "end" }, document.createTextNode("0")));
    const all = sizes.reduce((sum, size) => sum + size, 0);
    filled.replaceChildren(
      h("h4", {}, `Buckets: ${all} entries, ${ideal.toFixed(0)} expected`),
      svg,
      h("p", { class: "lab-quiet" }, "Bucket = leading bits shared. Line: the expectation, at most k of N / 2ᵇ⁺¹. Near buckets are emptier."),
    );
  }

  // -- what a person does -----------------------------------------------------------------------

  function change(changes) {
    link.send({ type: "scene", changes });
  }
  function search() {
    at = Infinity;
    link.send({ type: "key", text: key.value });
  }
  function see(peer) {
    selected = -1;
    link.send({ type: "viewer", peer });
  }
  function choose(peer) {
    selected = peer;
    draw();
  }
  function go(wanted) {
    at = Math.min(Math.max(wanted, 0), told?.trail?.steps.length ?? 0);
    if (told) draw();
  }
  function toggle() {
    if (timer) return stop();
    if (told?.trail && at >= told.trail.steps.length) go(0);
    play.textContent = "Pause";
    timer = setInterval(() => {
      if (!told?.trail || at >= told.trail.steps.length) stop();
      else go(at + 1);
    }, PLAY);
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }
  function zoomTo(wanted) {
    zoom = Math.min(Math.max(wanted, 0), 16);
    if (told) draw();
  }
  function pressed(event) {
    if (!told) return;
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const from = selected >= 0 ? selected : told.viewer;
    if (move) choose((from + move + told.spots.length) % told.spots.length);
    else if (event.key === "Enter") see(from);
    else if (event.key === "+") zoomTo(zoom + 1);
    else if (event.key === "-") zoomTo(zoom - 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  let dragging = false;
  function grab(event) {
    if (!told) return;
    const x = event.offsetX;
    dragging = told.can_search && Math.abs(scene.x(told.target) - x) < 14 && event.offsetY > scene.floor + 12;
    if (dragging) canvas.setPointerCapture(event.pointerId);
    else {
      const peer = scene.peerAt(x);
      if (peer >= 0) choose(peer);
    }
  }
  function moveKey(event) {
    scene.data.target = scene.spotAt(event.offsetX);
    scene.draw();
  }
  function drop(event) {
    if (!dragging) return;
    dragging = false;
    link.send({ type: "target", at: scene.spotAt(event.offsetX) });
  }

  // Once the page has its new colours: they come some time after the theme's name.
  let repaint = null;
  const offTheme = onTheme(() => {
    scene.draw();
    clearTimeout(repaint);
    repaint = setTimeout(() => scene.draw(), 400);
  });
  const resized = new ResizeObserver(() => scene.draw());
  resized.observe(stage);
  return () => {
    stop();
    clearTimeout(repaint);
    offTheme();
    resized.disconnect();
    link.close();
  };
}

function nearest(peers) {
  const found = SIZES.findIndex((size) => size >= peers);
  return found < 0 ? SIZES.length - 1 : found;
}

// JupyterLab has other plans for arrow keys.
function still(event) {
  event.stopPropagation();
}

export default { render };
