// ProviderMap: a key in the middle, the peers around it by the bits that they share with it, records that age.
import { connect, h, plural, root, s } from "./dom.js";

const TICK = 250; // milliseconds between two questions while the clock runs
const POKES = [
  ["republish", "Republish now", "All providers announce themselves"],
  ["provider leaves", "A provider leaves", "Its records stay until they expire"],
  ["holder crashes", "The nearest holder crashes", "Its records are gone with it"],
  ["holder leaves politely", "… leaves politely", "It hands its records on first. No spec asks for that"],
  ["poison", "Poison a record", "A peer that has nothing announces itself"],
  ["forge", "Forge a record", "A peer announces another in its place"],
  ["again", "Begin again", "Other peers, from day 0"],
];

function render({ model, el }) {
  const page = root(el, "Provider records around a key");
  let told = null;
  let timer = null;
  const status = h("div", { class: "lab-verdict", role: "status" }, "waiting for the kernel");
  const note = h("span", { class: "lab-quiet", role: "status" });
  const drawing = h("div", { class: "lab-prov-map" });
  const side = h("div", { class: "lab-prov-side" });
  const chart = h("div", { class: "lab-prov-chart" });
  const table = h("div", { class: "lab-checks lab-xor-scroll" });
  const link = connect(model, (message) => {
    if (message.type === "map") {
      told = message;
      draw();
    } else if (message.type === "told") note.textContent = message.text;
  });

  const speed = h("input", { type: "range", class: "lab-short", min: 1, max: 16, value: 4, "aria-label": "Quarters of a day in a second", "data-speed": true, onkeydown: still, oninput: showSpeed });
  const speedText = h("span", { class: "lab-num lab-prov-speed" });
  const play = h("button", { type: "button", class: "lab-primary", "data-play": true, onclick: toggle }, "Run the clock");
  const sliders = {
    republish: slider("republish", "Republish every", 1, 96, (n) => `${n} h`),
    expiry: slider("expiry", "Expires after", 1, 120, (n) => `${n} h`),
    session: slider("session", "A peer stays", 0, 72, (n) => (n ? `${n} h` : "for ever")),
    k: slider("k", "k", 1, 40, String),
    quorum: slider("quorum", "Quorum", 1, 20, String),
  };

  function slider(name, label, min, max, shown) {
    const text = h("span", { class: "lab-num lab-xor-value" });
    const input = h("input", {
      type: "range",
      class: "lab-short",
      min,
      max,
      "data-slider": name,
      onkeydown: still,
      oninput: () => (text.textContent = shown(Number(input.value))),
      onchange: () => link.send({ type: "plan", changes: { [name]: Number(input.value) } }),
    });
    const set = (value) => {
      if (document.activeElement !== input) input.value = value;
      text.textContent = shown(Number(input.value));
      input.setAttribute("aria-valuetext", text.textContent);
    };
    return { set, element: h("label", {}, label, input, text) };
  }

  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h(
        "div",
        { class: "lab-bar" },
        h("h3", { class: "lab-title" }, "Providers"),
        play,
        h("button", { type: "button", "data-pass": true, onclick: () => pass(1) }, "+1 h"),
        h("button", { type: "button", "data-day": true, onclick: () => pass(24) }, "+1 day"),
        h("label", {}, "Speed", speed, speedText),
      ),
      h("div", { class: "lab-bar" }, Object.values(sliders).map((one) => one.element)),
      h(
        "div",
        { class: "lab-bar" },
        POKES.map(([what, label, title]) => h("button", { type: "button", title, "data-poke": what, onclick: () => link.send({ type: "poke", what }) }, label)),
        note,
      ),
      status,
      h("div", { class: "lab-prov-grid" }, drawing, h("div", {}, side, chart)),
      h("details", {}, h("summary", {}, "Holders as a table"), table),
    ),
  );
  showSpeed();

  function draw() {
    status.textContent = told.summary;
    for (const [name, one] of Object.entries(sliders)) one.set(told.plan[name]);
    drawMap();
    side.replaceChildren(
      h("h4", {}, "Those who say that they have it"),
      h("ul", { class: "lab-prov-list" }, told.providers.map((one) => h("li", { "data-state": one.state }, h("b", {}, one.name), ` ${wordOf(one)}`))),
    );
    drawChart();
    const head = ["peer", "bits shared", "among the k closest", "records"].map((name) => h("th", { scope: "col" }, name));
    const rows = told.peers
      .filter((peer) => peer.close || peer.records.length)
      .map((peer) =>
        h("tr", {}, h("td", { class: "lab-mono" }, peer.name), h("td", { class: "lab-num" }, String(peer.shared)), h("td", {}, peer.close ? "yes" : "no longer"), h("td", {}, peer.records.map(([who, age]) => `${who}, ${age.toFixed(0)} h`).join("; ") || "none")),
      );
    table.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)));
  }

  function wordOf(one) {
    if (one.state === "gone") return "has left; its records stay until they expire";
    if (one.state === "liar") return "has nothing";
    return one.due === null ? "is up" : `is up; announces itself in ${Math.max(0, one.due - told.hours).toFixed(1)} h`;
  }

  // The key in the middle. One ring for each number of shared bits; within it the rest of the distance turns.
  function drawMap() {
    const size = 420;
    const middle = size / 2;
    const rings = [...new Set(told.peers.map((peer) => peer.shared))].sort((a, b) => b - a);
    const low = Math.min(...rings);
    const high = Math.max(...rings);
    const radius = (shared) => 34 + ((high - shared) / Math.max(1, high - low)) * (middle - 58);
    const held = told.peers.filter((peer) => peer.records.length).length;
    const svg = s("svg", { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": `The key and ${told.peers.length} peers around it; ${held} hold records` });
    for (const ring of rings) {
      svg.append(s("circle", { cx: middle, cy: middle, r: radius(ring), class: "lab-prov-ring" }));
      svg.append(s("text", { x: middle + 3, y: middle - radius(ring) - 2, class: "lab-prov-bits" }, document.createTextNode(`${ring} bits`)));
    }
    svg.append(s("rect", { x: middle - 9, y: middle - 9, width: 18, height: 18, transform: `rotate(45 ${middle} ${middle})`, class: "lab-prov-key" }));
    svg.append(s("text", { x: middle, y: middle + 4, "text-anchor": "middle", class: "lab-prov-word" }, document.createTextNode("key")));
    for (const peer of told.peers) {
      const turn = 2 * Math.PI * (peer.turn + (peer.shared % 7) / 7);
      const x = middle + radius(peer.shared) * Math.sin(turn);
      const y = middle - radius(peer.shared) * Math.cos(turn);
      const group = s("g");
      group.append(s("title", {}, document.createTextNode(`${peer.name}: ${peer.records.map(([who, age]) => `${who}, ${age.toFixed(1)} h old`).join("; ") || "no record"}`)));
      group.append(s("circle", { cx: x, cy: y, r: peer.close ? 10 : 4, class: peer.close ? "lab-prov-peer lab-prov-close" : "lab-prov-peer" }));
      peer.records.forEach(([, age, state], n) => {
        const angle = (2 * Math.PI * n) / Math.max(3, peer.records.length);
        const fresh = Math.max(0.15, 1 - age / told.plan.expiry);
        group.append(s("circle", { cx: x + 5 * Math.sin(angle), cy: y - 5 * Math.cos(angle), r: 3.6, "fill-opacity": fresh.toFixed(2), class: "lab-prov-record", "data-state": state }));
      });
      svg.append(group);
    }
    drawing.replaceChildren(svg, h("p", { class: "lab-quiet" }, "Rings: bits shared with the key. Circles: the k closest. Dots: records, paler with age; ", h("span", { class: "lab-prov-mark", "data-state": "up" }, "●"), " provider up, ", h("span", { class: "lab-prov-mark", "data-state": "gone" }, "●"), " left, ", h("span", { class: "lab-prov-mark", "data-state": "liar" }, "●"), " has nothing."));
  }

  function drawChart() {
    const samples = told.samples;
    if (!samples.length) return;
    const top = Math.max(1, ...samples.map(([, records]) => records));
    const from = samples[0][0];
    const span = Math.max(24, told.hours - from);
    const x = (hour) => 30 + (360 * (hour - from)) / span;
    const y = (records) => 88 - (76 * records) / top;
    const svg = s("svg", { viewBox: "0 0 400 128", role: "img", "aria-label": `Records held over ${plural(samples.length, "hour")}, now ${samples.at(-1)[1]}; below, whether a live provider was found` });
    svg.append(s("polyline", { points: samples.map(([hour, records]) => `${x(hour).toFixed(1)},${y(records).toFixed(1)}`).join(" "), class: "lab-prov-line" }));
    const wide = Math.max(1, 360 / span);
    for (const [hour, , live] of samples) svg.append(s("rect", { x: x(hour), y: live ? 96 : 92, width: wide, height: live ? 6 : 12, class: live ? "lab-prov-found" : "lab-prov-missed" }));
    svg.append(s("text", { x: 24, y: 16, "text-anchor": "end" }, document.createTextNode(String(top))), s("text", { x: 24, y: 92, "text-anchor": "end" }, document.createTextNode("0")));
    svg.append(s("text", { x: 30, y: 122 }, document.createTextNode(`hour ${from.toFixed(0)}`)), s("text", { x: 390, y: 122, "text-anchor": "end" }, document.createTextNode(`hour ${told.hours.toFixed(0)}`)));
    chart.replaceChildren(h("h4", {}, "Records held; below: was a live provider found?"), svg);
  }

  function pass(hours) {
    link.send({ type: "pass", hours });
  }
  function toggle() {
    if (timer) {
      clearInterval(timer);
      timer = null;
    } else timer = setInterval(() => pass((Number(speed.value) * 6 * TICK) / 1000), TICK);
    play.textContent = timer ? "Stop the clock" : "Run the clock";
    play.setAttribute("aria-pressed", String(Boolean(timer)));
  }
  function showSpeed() {
    speedText.textContent = `${(Number(speed.value) / 4).toFixed(2)} days/s`;
    speed.setAttribute("aria-valuetext", speedText.textContent);
  }

  return () => {
    clearInterval(timer);
    link.close();
  };
}

// JupyterLab has other plans for arrow keys.
function still(event) {
  event.stopPropagation();
}

export default { render };
