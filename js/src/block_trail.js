// BlockTrail: a CID taken apart; a file as a tree of blocks; the blocks' way here from several peers.
import { bytes, connect, h, root, s } from "./dom.js";

const PLAY = 250; // milliseconds a move
const HUES = { version: "address", codec: "negotiation", "hash function": "security", length: "address", digest: "identity" };

function render({ model, el }) {
  const page = root(el, "A CID, its blocks, and their way here");
  let told = null;
  let at = 0;
  let timer = null;
  const status = h("div", { class: "lab-verdict", role: "status" }, "waiting for the kernel");
  const note = h("span", { class: "lab-bad", role: "status" });
  const anatomy = h("div", { class: "lab-block-part" });
  const drawing = h("div", { class: "lab-block-dag" });
  const sources = h("div", { class: "lab-block-peers" });
  const said = h("p", { class: "lab-xor-said", role: "status" });
  const list = h("div", { class: "lab-checks lab-xor-scroll" });
  const link = connect(model, (message) => {
    if (message.type === "trail") {
      const before = told ? JSON.stringify(told.moves) : null;
      told = message;
      if (before !== JSON.stringify(told.moves)) at = told.moves.length;
      note.textContent = "";
      draw();
    } else if (message.type === "told") note.textContent = message.text;
  });

  const text = h("input", { type: "text", class: "lab-block-cid lab-mono", "aria-label": "A CID", "data-cid": true, onkeydown: (event) => { event.stopPropagation(); if (event.key === "Enter") show(text.value); } });
  const steps = h("input", { type: "range", min: 0, max: 0, "aria-label": "Step of the transfer", "data-steps": true, onkeydown: still, oninput: () => go(Number(steps.value)) });
  const count = h("span", { class: "lab-num lab-xor-count" });
  const play = h("button", { type: "button", "data-play": true, onclick: toggle }, "Play");
  const peers = slider("peers", "Peers", 1, 8);
  const liars = slider("liars", "of whom lie", 0, 8);
  const check = h("button", { type: "button", "data-check": true, title: "Compare each block's hash with its name", onclick: () => link.send({ type: "check", on: !told.plan.check }) }, "Check every block");
  const plan = h("span", { class: "lab-block-plan" }, peers.element, liars.element, check, h("button", { type: "button", "data-again": true, onclick: () => link.send({ type: "again" }) }, "Again"));
  const transfer = h(
    "div",
    {},
    h("div", { class: "lab-bar" }, h("b", {}, "Transfer"), plan),
    h("div", { class: "lab-bar" }, h("button", { type: "button", "data-back": true, onclick: () => go(at - 1) }, "◀ Step"), h("button", { type: "button", "data-forward": true, onclick: () => go(at + 1) }, "Step ▶"), play, steps, count),
    said,
    sources,
  );

  function slider(name, label, min, max) {
    const value = h("span", { class: "lab-num" });
    const input = h("input", { type: "range", class: "lab-short", min, max, "data-slider": name, onkeydown: still, oninput: () => link.send({ type: "plan", peers: Number(peers.input.value), liars: Number(liars.input.value) }) });
    const set = (real) => {
      if (document.activeElement !== input) input.value = real;
      value.textContent = String(real);
    };
    return { input, set, element: h("label", {}, label, input, value) };
  }

  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h("div", { class: "lab-bar" }, h("h3", { class: "lab-title" }, "CID"), text, h("button", { type: "button", "data-show": true, onclick: () => show(text.value) }, "Take apart"), note),
      anatomy,
      status,
      drawing,
      transfer,
      h("details", {}, h("summary", {}, "The transfer as a table"), list),
    ),
  );

  function draw() {
    status.textContent = told.summary;
    if (document.activeElement !== text) text.value = told.cid;
    drawAnatomy();
    const now = stateAfter(at);
    drawDag(now);
    transfer.hidden = told.moves.length === 0;
    plan.hidden = told.names.length > 0; // it was recorded
    peers.set(told.plan.peers);
    liars.set(told.plan.liars);
    check.setAttribute("aria-pressed", String(told.plan.check));
    steps.max = told.moves.length;
    steps.value = at;
    count.textContent = `${at} of ${told.moves.length}`;
    said.textContent = at ? words(told.moves[at - 1]) : "Only the root's name is known: that is enough to check all that comes.";
    drawPeers(now);
    const head = ["time", "what", "peer", "block", "bytes"].map((name) => h("th", { scope: "col" }, name));
    const rows = told.moves.map(([time, kind, peer, block, size]) => h("tr", {}, h("td", { class: "lab-num" }, `${time.toFixed(told.names.length ? 4 : 3)} s`), h("td", {}, kind), h("td", {}, peer < 0 ? "" : `peer ${peer + 1}`), h("td", {}, nameOf(block)), h("td", { class: "lab-num" }, size ? String(size) : "")));
    list.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)));
  }

  const nameOf = (block) => (block < 0 ? "?" : block === 0 ? "the root" : `block ${block}`);

  function words([time, kind, peer, block, size]) {
    const when = `${time.toFixed(told.names.length ? 4 : 2)} s: `;
    if (kind === "wanted") return `${when}peer ${peer + 1} is asked for ${nameOf(block)}.`;
    if (kind === "refused") return `${when}peer ${peer + 1} sends ${bytes(size)} as ${nameOf(block)}, but they hash to another name. They are thrown away.`;
    if (kind === "banned") return `${when}peer ${peer + 1} is asked no more.`;
    if (kind === "lost") return `${when}nobody is left to ask for ${nameOf(block)}.`;
    const children = told.blocks[block].links.length;
    return `${when}${nameOf(block)} arrives from peer ${peer + 1}${told.plan.check ? ", and its hash is its name" : ", and nobody checks it"}.${children ? ` It names ${children} more.` : ""}`;
  }

  function drawAnatomy() {
    const digits = h(
      "div",
      { class: "lab-block-digits lab-mono" },
      told.parts.map(([name, hex]) => h("span", { class: "lab-run", "data-layer": HUES[name], title: name }, ` ${hex} `)),
    );
    const rows = told.parts.map(([name, hex, value, meaning]) => h("tr", { "data-layer": HUES[name] }, h("th", { scope: "row", class: "lab-block-name" }, name), h("td", { class: "lab-mono" }, name === "digest" ? `${hex.slice(0, 23)} …` : hex), h("td", { class: "lab-mono" }, name === "digest" ? `${value.slice(0, 24)}…` : value), h("td", {}, meaning)));
    const verdict = told.matches === null ? "The block is not here." : told.matches ? "The block is here, and hashes to this name." : "The block is here, and does NOT hash to this name.";
    anatomy.replaceChildren(
      digits,
      h("div", { class: "lab-checks" }, h("table", {}, h("tbody", {}, rows))),
      h("p", { class: told.matches === false ? "lab-bad" : "lab-quiet", "data-matches": String(told.matches) }, `${verdict} Its provider records are kept around ${told.place}… in the key space.`),
      h("details", {}, h("summary", {}, "The same name in other writings"), h("div", { class: "lab-checks" }, h("table", {}, h("tbody", {}, told.forms.map(([name, form]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "lab-mono" }, form))))))),
    );
  }

  /** What is known of each block after so many moves. */
  function stateAfter(moves) {
    const states = new Map([[0, { kind: "named" }]]);
    const banned = new Set();
    for (const [, kind, peer, block] of told.moves.slice(0, moves)) {
      if (kind === "banned") banned.add(peer);
      else states.set(block, { kind, peer });
      if (kind === "arrived") for (const child of told.blocks[block].links) if (!states.has(child)) states.set(child, { kind: "named" });
    }
    return { states, banned };
  }

  function drawDag(now) {
    const blocks = told.blocks;
    const leaves = blocks.filter((block) => !block.links.length).length;
    const depth = Math.max(...blocks.map((block) => block.depth));
    const wide = 760;
    const step = wide / Math.max(1, leaves);
    const high = 54;
    let next = 0;
    const spots = new Map();
    // Children follow their parent: the last come first, so that a parent stands over those that are placed.
    for (let n = blocks.length - 1; n >= 0; n -= 1) {
      const under = blocks[n].links.map((child) => spots.get(child)).filter(Boolean);
      const x = under.length ? under.reduce((sum, spot) => sum + spot[0], 0) / under.length : wide - (next++ + 0.5) * step;
      spots.set(n, [x, 20 + blocks[n].depth * high]);
    }
    const svg = s("svg", { viewBox: `0 0 ${wide} ${depth * high + 44}`, role: "img", "aria-label": `A DAG of ${blocks.length} blocks, ${leaves} of them leaves` });
    blocks.forEach((block, n) => {
      for (const child of block.links) {
        const [x1, y1] = spots.get(n);
        const [x2, y2] = spots.get(child);
        svg.append(s("line", { x1, y1, x2, y2, class: "lab-block-link" }));
      }
    });
    const r = Math.max(3, Math.min(15, step / 2 - 1));
    blocks.forEach((block, n) => {
      const [x, y] = spots.get(n);
      const state = told.moves.length ? (now.states.get(block.name) ?? { kind: "unknown" }) : { kind: block.size ? "arrived" : "named", peer: 0 };
      const words = `${nameOf(n)}, ${bytes(block.size)}: ${state.kind}${state.peer >= 0 ? `, peer ${state.peer + 1}` : ""}. ${block.cid}`;
      const group = s("g", { tabindex: 0, role: "button", "aria-label": words, class: "lab-block-node", "data-state": state.kind, "data-peer": state.peer ?? "", "data-block": n });
      group.append(s("title", {}, document.createTextNode(words)));
      group.append(block.links.length ? s("rect", { x: x - 15, y: y - 13, width: 30, height: 26, rx: 4 }) : s("circle", { cx: x, cy: y, r }));
      if (r > 9 || block.links.length) {
        const mark = state.kind === "refused" ? "✕" : state.kind === "arrived" ? String((state.peer ?? 0) + 1) : state.kind === "wanted" ? "…" : "";
        group.append(s("text", { x, y: y + 4, "text-anchor": "middle" }, document.createTextNode(mark)));
      }
      group.addEventListener("click", () => show(block.cid));
      group.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        event.stopPropagation();
        show(block.cid);
      });
      svg.append(group);
    });
    const focused = document.activeElement?.dataset?.block;
    drawing.replaceChildren(svg, h("p", { class: "lab-quiet" }, "Squares: nodes that name others; circles: pieces of the file, from its beginning to its end. The number: which peer it came from. Choose one to take its CID apart."));
    if (focused !== undefined) drawing.querySelector(`[data-block="${focused}"]`)?.focus({ preventScroll: true });
  }

  function drawPeers(now) {
    const total = Math.max(0.001, told.moves.at(-1)?.[0] ?? 0);
    const until = at ? told.moves[at - 1][0] : 0;
    const rows = [];
    for (let peer = 0; peer < told.plan.peers; peer += 1) {
      const svg = s("svg", { viewBox: "0 0 600 20", preserveAspectRatio: "none", "aria-hidden": "true" });
      const open = new Map();
      let got = 0;
      for (const [time, kind, who, block, size] of told.moves) {
        if (who !== peer) continue;
        if (kind === "wanted") open.set(block, time);
        else if (open.has(block) && (kind === "arrived" || kind === "refused")) {
          const start = open.get(block);
          open.delete(block);
          if (kind === "arrived" && time <= until) got += size;
          const bar = s("rect", { x: (600 * start) / total, y: 3, width: Math.max(2, (600 * (time - start)) / total - 1), height: 14, class: "lab-block-bar", "data-peer": peer, "data-state": kind, opacity: start <= until && at ? 0.75 : 0.2 });
          bar.append(s("title", {}, document.createTextNode(`${nameOf(block)}: ${kind}`)));
          svg.append(bar);
        }
      }
      svg.append(s("line", { x1: (600 * until) / total, x2: (600 * until) / total, y1: 0, y2: 20, class: "lab-xor-now" }));
      rows.push(h("b", {}, `peer ${peer + 1}`, told.names[peer] ? h("small", { class: "lab-quiet lab-mono" }, ` …${told.names[peer]}`) : null), svg, h("span", { class: now.banned.has(peer) ? "lab-bad" : "lab-num" }, now.banned.has(peer) ? "✕ asked no more" : bytes(got)));
    }
    sources.replaceChildren(...rows);
  }

  function show(cid) {
    link.send({ type: "show", text: cid });
  }
  function go(wanted) {
    at = Math.min(Math.max(wanted, 0), told?.moves.length ?? 0);
    if (told) draw();
  }
  function toggle() {
    if (timer) return stop();
    if (told && at >= told.moves.length) go(0);
    play.textContent = "Pause";
    timer = setInterval(() => (told && at < told.moves.length ? go(at + 1) : stop()), PLAY);
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }

  return () => {
    stop();
    link.close();
  };
}

// JupyterLab has other plans for arrow keys.
function still(event) {
  event.stopPropagation();
}

export default { render };
