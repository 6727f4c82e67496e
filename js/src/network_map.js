// NetworkMap: live peers, their connections, and what moves. Chosen, a peer shows its card.
import { bytes, connect, h, plural, root } from "./dom.js";
import { Card } from "./map_card.js";
import { Dots } from "./map_dots.js";
import { Scene } from "./map_scene.js";

const SAY_EVERY = 3000; // ms between two sentences for screen readers

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
  const dots = new Dots(stage, select);
  const scene = new Scene(stage, { moved: () => dots.place() });
  dots.scene = scene;
  page.labStats = scene.stats; // what the speed of drawing is measured by
  const card = new Card(
    scene,
    (content) => link.send(content),
    () => select(null),
  );
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
      h("div", { class: "lab-map" }, stage, card.element),
      legend,
      list,
    ),
    spoken,
  );

  let said = "";
  let sayTimer = 0;
  let second = { messages: 0, bytes: 0 };
  let ticking = 0;

  const link = connect(model, (message, buffers) => {
    switch (message.type) {
      case "snapshot":
        take(message);
        say(message.summary);
        if (card.peer) link.send({ type: "select", peer: card.peer });
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
        if (message.card) card.show(message.card);
        if (message.peers.length || message.links.length) say(message.summary);
        break;
      case "card":
        card.show(message.card);
        break;
      case "result":
        card.result(message);
        break;
    }
  });

  function take(message) {
    scene.addProtocols(message.protocols);
    scene.setPeers(message.peers);
    scene.setLinks(message.links);
    status.textContent = message.summary;
    if (message.protocols.length) drawLegend();
    if (message.peers.length) dots.draw();
    else
      for (const changed of message.links)
        for (const end of changed.ends) dots.label(scene.nodes[end]);
    if (list.open && (message.peers.length || message.links.length)) drawTable();
  }

  // -- rates ------------------------------------------------------------------------------------

  function tick() {
    rate.textContent = second.messages
      ? `${plural(second.messages, "message")} and ${bytes(second.bytes)} a second`
      : "quiet";
    for (const button of legend.children) titleChip(button);
    card.quiet();
    if (!second.messages) {
      clearInterval(ticking);
      ticking = 0;
    }
    second = { messages: 0, bytes: 0 };
    if (list.open && !table.contains(document.activeElement)) drawTable();
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

  function select(peer) {
    const before = card.peer;
    const chosen = peer === before ? null : peer;
    scene.selected = chosen;
    scene.wake();
    card.open(chosen);
    link.send({ type: "select", peer: chosen });
    if (chosen === null && before !== null) dots.focusOn(before);
  }

  // -- legend and table -------------------------------------------------------------------------

  function drawLegend() {
    for (const protocol of scene.protocols.slice(legend.children.length)) {
      const button = h(
        "button",
        {
          type: "button",
          class: protocol.isLayer ? "lab-chip lab-ring" : "lab-chip",
          "aria-pressed": "false",
          onclick: () => {
            const isOnly = !scene.only.delete(protocol.number);
            if (isOnly) scene.only.add(protocol.number);
            button.setAttribute("aria-pressed", String(isOnly));
          },
        },
        protocol.name,
      );
      button.style.setProperty("--layer", `var(${protocol.variable})`);
      button.labProtocol = protocol;
      titleChip(button);
      legend.append(button);
    }
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
