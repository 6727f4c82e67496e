// NetworkMap: live peers, their connections, and what moves. Clicked or chosen by key, a peer shows its card.
import { bytes, connect, h, plural, root } from "./dom.js";
import { Scene } from "./map_scene.js";

const SAY_EVERY = 3000; // ms between two sentences for screen readers
const MAX_DOTS = 200;
const KEEP_RATES = 40; // seconds of a card's curve

function render({ model, el }) {
  const page = root(el, "Map of the network");
  const status = h("span", { class: "lab-quiet lab-num" }, "waiting for the kernel");
  const rate = h("span", { class: "lab-num" });
  const spoken = h("div", { class: "lab-hidden", "aria-live": "polite" });
  const stage = h(
    "div",
    {
      class: "lab-stage",
      role: "group",
      "aria-label": "Peers. Arrow keys move, Enter opens a card.",
    },
    h("canvas", { "aria-hidden": "true" }),
  );
  const card = h("aside", { class: "lab-card", hidden: true, "aria-label": "Card of a peer" });
  const legend = h("div", { class: "lab-legend", role: "group", "aria-label": "Protocols" });
  const table = h("div");
  const list = h("details", {}, h("summary", {}, "Peers and links as a table"), table);
  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h(
        "div",
        { class: "lab-bar" },
        h("h3", { class: "lab-title" }, "Network"),
        status,
        h("span", { class: "lab-grow" }),
        rate,
      ),
      h("div", { class: "lab-map" }, stage, card),
      legend,
      list,
    ),
    spoken,
  );

  const scene = new Scene(stage, { moved: placeDots });
  page.labStats = scene.stats; // what the speed of drawing is measured by
  const dots = new Map(); // peer id → button
  let shown = null; // the card's peer
  let lastCard = null;
  let from = "";
  let rates = [];
  let said = "";
  let sayTimer = 0;
  let second = { messages: 0, bytes: 0 };
  let ticking = 0;

  const link = connect(model, (message, buffers) => {
    switch (message.type) {
      case "snapshot":
        take(message);
        say(message.summary);
        if (shown) link.send({ type: "select", peer: shown });
        break;
      case "update":
        take(message);
        if (buffers.length) {
          const view = buffers[0];
          scene.fly(
            new Uint32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)),
            message.span,
          );
        }
        second.messages += message.messages;
        second.bytes += message.bytes;
        if (!ticking) ticking = setInterval(tick, 1000);
        if (message.card) showCard(message.card);
        if (message.peers.length || message.links.length) say(message.summary);
        break;
      case "card":
        showCard(message.card);
        break;
      case "result":
        showResult(message);
        break;
    }
  });

  function take(message) {
    scene.addProtocols(message.protocols);
    scene.setPeers(message.peers);
    scene.setLinks(message.links);
    status.textContent = message.summary;
    if (message.protocols.length) drawLegend();
    if (message.peers.length) drawDots();
    else
      for (const changed of message.links)
        for (const end of changed.ends) labelDot(scene.nodes[end]);
    if (list.open && (message.peers.length || message.links.length)) drawTable();
  }

  // -- rates ------------------------------------------------------------------------------------

  function tick() {
    rate.textContent = second.messages
      ? `${plural(second.messages, "message")} and ${bytes(second.bytes)} a second`
      : "quiet";
    for (const button of legend.children) titleChip(button);
    if (shown && lastCard && performance.now() - lastCard.at > 1200) {
      rates.push({ out: 0, in: 0 });
      drawCurve();
    }
    if (!second.messages) {
      clearInterval(ticking);
      ticking = 0;
    }
    second = { messages: 0, bytes: 0 };
    if (list.open) drawTable();
  }

  function say(summary) {
    said = summary;
    if (sayTimer) return;
    spoken.textContent = summary;
    sayTimer = setTimeout(() => {
      sayTimer = 0;
      if (spoken.textContent !== said) say(said);
    }, SAY_EVERY);
  }

  // -- dots: a button over each drawn peer ------------------------------------------------------

  function drawDots() {
    for (const node of scene.nodes.slice(0, MAX_DOTS)) {
      if (!dots.has(node.id)) {
        const dot = h("button", {
          class: "lab-dot",
          type: "button",
          tabindex: dots.size === 0 ? 0 : -1,
          "data-peer": node.id,
          onclick: () => select(node.id),
          onfocus: () => hover(node.id),
          onblur: () => hover(null),
          onpointerenter: () => hover(node.id),
          onpointerleave: () => hover(null),
          onkeydown: (event) => onKey(event, node),
          onpointerdown: (event) => drag(event, node),
        });
        dots.set(node.id, dot);
        stage.append(dot);
      }
      labelDot(node);
    }
    placeDots();
  }

  function labelDot(node) {
    const dot = node && dots.get(node.id);
    if (!dot) return;
    let count = 0;
    for (const one of scene.links.values())
      if (one.source === node || one.target === node) count += 1;
    const state =
      node.kind === "host" ? plural(count, "link") : `${node.kind}, ${plural(count, "link")}`;
    dot.setAttribute("aria-label", `${node.name}, ${state}`);
    dot.title = `${node.name}\n${node.id}`;
  }

  function placeDots() {
    const reach = scene.radius + 4;
    for (const node of scene.nodes) {
      const dot = dots.get(node.id);
      if (!dot) continue;
      const [x, y] = scene.place(node);
      dot.style.width = dot.style.height = `${2 * reach}px`;
      dot.style.transform = `translate(${x - reach}px, ${y - reach}px)`;
    }
  }

  function hover(peer) {
    scene.hovered = peer;
    scene.wake();
  }

  function focusDot(node) {
    for (const dot of dots.values()) dot.tabIndex = -1;
    const dot = dots.get(node.id);
    dot.tabIndex = 0;
    dot.focus({ preventScroll: true });
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  function onKey(event, node) {
    if (event.key === "Escape") return select(null);
    const order = [...dots.keys()];
    if (event.key === "Home" || event.key === "End") {
      event.preventDefault();
      const id = event.key === "Home" ? order[0] : order[order.length - 1];
      return focusDot(scene.nodes.find((other) => other.id === id));
    }
    const arrow = ARROWS[event.key];
    if (!arrow) return undefined;
    event.preventDefault();
    event.stopPropagation();
    const [x, y] = scene.place(node);
    let best = null;
    let least = Infinity;
    for (const other of scene.nodes) {
      if (other === node || !dots.has(other.id)) continue;
      const [ox, oy] = scene.place(other);
      const along = (ox - x) * arrow[0] + (oy - y) * arrow[1];
      const aside = Math.abs((ox - x) * arrow[1]) + Math.abs((oy - y) * arrow[0]);
      const cost = along + 2 * aside;
      if (along > 2 && cost < least) [best, least] = [other, cost];
    }
    if (best) focusDot(best);
    return undefined;
  }

  function drag(event, node) {
    const dot = event.currentTarget;
    const origin = [event.clientX, event.clientY];
    let isDragging = false;
    dot.setPointerCapture(event.pointerId);
    const move = (moving) => {
      if (!isDragging && Math.hypot(moving.clientX - origin[0], moving.clientY - origin[1]) < 4)
        return;
      isDragging = scene.dragged = true;
      const box = stage.getBoundingClientRect();
      [node.fx, node.fy] = scene.unplace(moving.clientX - box.left, moving.clientY - box.top);
      scene.reheat(0.3);
    };
    const end = () => {
      dot.removeEventListener("pointermove", move);
      node.fx = node.fy = null;
      scene.dragged = false;
      if (isDragging)
        dot.addEventListener("click", (click) => click.stopImmediatePropagation(), {
          once: true,
          capture: true,
        });
    };
    dot.addEventListener("pointermove", move);
    dot.addEventListener("pointerup", end, { once: true });
    dot.addEventListener("pointercancel", end, { once: true });
  }

  // -- the card ---------------------------------------------------------------------------------

  function select(peer) {
    const before = shown;
    shown = shown === peer ? null : peer;
    scene.selected = shown;
    scene.wake();
    rates = [];
    lastCard = null;
    link.send({ type: "select", peer: shown });
    card.hidden = shown === null;
    if (shown === null) {
      card.replaceChildren();
      if (before) dots.get(before)?.focus({ preventScroll: true });
      return;
    }
    buildCard(scene.nodes.find((node) => node.id === peer));
  }

  let parts = {};

  function buildCard(node) {
    const others = scene.nodes.filter((other) => other.kind === "host" && other.id !== node.id);
    if (!others.some((other) => other.id === from)) from = others[0]?.id ?? "";
    parts = {
      state: h("div", { class: "lab-quiet" }),
      addrs: h("ul"),
      protocols: h("ul"),
      connections: h("ul"),
      through: h("div", { class: "lab-num" }),
      curve: h("canvas", { "aria-hidden": "true" }),
      result: h("div", { role: "status", style: "margin-top:6px; min-height: 20px" }),
    };
    const choose = h(
      "select",
      {
        onchange: (event) => (from = event.target.value),
        "aria-label": "the host that dials or pings",
      },
      others.map((other) =>
        h("option", { value: other.id, selected: other.id === from }, other.name),
      ),
    );
    const act = (type, text) =>
      h(
        "button",
        {
          type: "button",
          "data-act": type,
          disabled: !others.length || node.kind === "closed",
          onclick: () => {
            parts.result.className = "lab-quiet";
            parts.result.textContent = type === "ping" ? "pinging …" : "dialing …";
            link.send({ type, from, peer: node.id });
          },
        },
        text,
      );
    card.replaceChildren(
      h(
        "div",
        { style: "display:flex; align-items:start; gap:8px" },
        h("div", { class: "lab-grow" }, h("h3", {}, node.name), parts.state),
        h(
          "button",
          { type: "button", "aria-label": "close the card", onclick: () => select(shown) },
          "✕",
        ),
      ),
      h("h4", {}, "Peer id"),
      h("div", { class: "lab-mono" }, node.id),
      h(
        "div",
        { style: "display:flex; flex-wrap:wrap; gap:6px; margin-top:10px; align-items:center" },
        act("ping", "Ping"),
        act("dial", "Dial"),
        h("label", {}, "from", choose),
      ),
      parts.result,
      h("h4", {}, "Throughput"),
      parts.through,
      parts.curve,
      h("h4", {}, "Connections"),
      parts.connections,
      h("h4", {}, "Addresses"),
      parts.addrs,
      h("h4", {}, "Protocols"),
      parts.protocols,
    );
    card.onkeydown = (event) => {
      if (event.key === "Escape") select(shown);
    };
  }

  const nameOf = (index) => scene.nodes[index]?.name ?? "?";

  function showCard(told) {
    const node = scene.nodes[told.index];
    if (!node || node.id !== shown) return;
    const kinds = {
      host: "a host in this kernel",
      remote: "seen by others; its own trace is not followed",
      closed: "closed",
    };
    parts.state.textContent = told.agent ? `${kinds[node.kind]} · ${told.agent}` : kinds[node.kind];
    fill(
      parts.addrs,
      told.addrs.map((addr) => h("span", { class: "lab-mono" }, addr)),
      "none known",
    );
    fill(
      parts.protocols,
      told.protocols.map((name) => h("span", { class: "lab-mono" }, name)),
      "not told yet",
    );
    fill(
      parts.connections,
      told.connections.map((one) => {
        const arrow = one.direction === "outbound" ? "→" : "←";
        const how = [one.transport, one.security, one.muxer].join(" · ");
        const streams = one.streams.length ? ` · ${one.streams.join(", ")}` : "";
        return [
          h("span", { "aria-label": one.direction }, arrow),
          ` ${nameOf(one.peer)} `,
          h("span", { class: "lab-quiet lab-mono" }, how + streams),
        ];
      }),
      "none",
    );
    const now = performance.now();
    if (lastCard && now - lastCard.at > 400) {
      const span = (now - lastCard.at) / 1000;
      rates.push({
        out: (told.sent - lastCard.sent) / span,
        in: (told.received - lastCard.received) / span,
      });
      if (rates.length > KEEP_RATES) rates.shift();
      lastCard = { at: now, sent: told.sent, received: told.received };
    } else lastCard ??= { at: now, sent: told.sent, received: told.received };
    const latest = rates[rates.length - 1] ?? { out: 0, in: 0 };
    parts.through.textContent = told.followed
      ? `out ${bytes(latest.out)}/s (${bytes(told.sent)} in all), in ${bytes(latest.in)}/s (${bytes(told.received)})`
      : "only a followed host tells";
    drawCurve();
  }

  function fill(target, items, empty) {
    const lines = items.length ? items : [h("span", { class: "lab-quiet" }, empty)];
    target.replaceChildren(...lines.map((item) => h("li", {}, item)));
  }

  function drawCurve() {
    const { curve } = parts;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [curve.clientWidth, curve.clientHeight];
    curve.width = width * ratio;
    curve.height = height * ratio;
    const context = curve.getContext("2d");
    context.scale(ratio, ratio);
    const top = Math.max(...rates.flatMap((one) => [one.out, one.in]), 1);
    for (const [key, variable] of [
      ["out", "--lab-p0"],
      ["in", "--lab-p3"],
    ]) {
      context.strokeStyle = getComputedStyle(card).getPropertyValue(variable);
      context.lineWidth = 1.5;
      context.setLineDash(key === "in" ? [4, 3] : []);
      context.beginPath();
      rates.forEach((one, at) => {
        const x = (at / (KEEP_RATES - 1)) * width;
        context.lineTo(x, height - 3 - (one[key] / top) * (height - 6));
      });
      context.stroke();
    }
  }

  function showResult(message) {
    if (message.peer !== shown || !parts.result) return;
    parts.result.className = message.ok ? "lab-good" : "lab-bad";
    parts.result.textContent = message.text;
  }

  // -- legend and table -------------------------------------------------------------------------

  function drawLegend() {
    const chips = scene.protocols.map((protocol) => {
      const button = h(
        "button",
        {
          type: "button",
          class: protocol.isLayer ? "lab-chip lab-ring" : "lab-chip",
          "aria-pressed": scene.only.has(protocol.number) ? "true" : "false",
          onclick: () => {
            if (!scene.only.delete(protocol.number)) scene.only.add(protocol.number);
            drawLegend();
          },
        },
        protocol.name,
      );
      button.style.setProperty("--layer", `var(${protocol.variable})`);
      button.labProtocol = protocol;
      titleChip(button);
      return button;
    });
    legend.replaceChildren(...chips);
  }

  function titleChip(button) {
    const { name, messages, bytes: size } = button.labProtocol;
    button.title = `${name}: ${plural(messages, "message")}, ${bytes(size)}. Click: show only this.`;
  }

  function drawTable() {
    const peers = scene.nodes.map((node) =>
      h(
        "tr",
        {},
        h("td", {}, h("button", { type: "button", onclick: () => select(node.id) }, node.name)),
        h("td", {}, node.kind),
        h("td", { class: "lab-mono" }, node.id),
      ),
    );
    const links = [...scene.links.values()].slice(0, 500).map((one) => {
      const streams = one.streams.map(
        ([number, count]) => `${count} × ${scene.protocols[number]?.name}`,
      );
      return h(
        "tr",
        {},
        h("td", {}, `${one.source.name} – ${one.target.name}`),
        h("td", { class: "lab-num" }, String(one.connections)),
        h("td", {}, streams.join(", ") || "none"),
      );
    });
    const head = (...names) =>
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          names.map((name) => h("th", { scope: "col" }, name)),
        ),
      );
    table.replaceChildren(
      h(
        "table",
        {},
        h("caption", {}, "Peers"),
        head("name", "kind", "peer id"),
        h("tbody", {}, peers),
      ),
      h(
        "table",
        {},
        h("caption", {}, "Links"),
        head("between", "connections", "open streams"),
        h("tbody", {}, links),
      ),
    );
  }
  list.addEventListener("toggle", () => list.open && drawTable());

  return () => {
    clearInterval(ticking);
    clearTimeout(sayTimer);
    scene.close();
    link.close();
  };
}

export default { render };
