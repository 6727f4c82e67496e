// KeyLab: key → protobuf → multihash → text. Each byte can be pointed at, those of the key be changed.
import { connect, h, plural, root } from "./dom.js";
import { drawExplanation, leaves } from "./message.js";

const TYPES = [
  ["ed25519", "Ed25519"],
  ["secp256k1", "Secp256k1"],
  ["ecdsa", "ECDSA"],
  ["rsa", "RSA"],
];
const HEAD = 64; // bytes of a long stage that are shown at first

function render({ model, el }) {
  const page = root(el, "From a key to a peer id");
  const explanation = h("div", { class: "lab-explain", "aria-live": "polite" });
  const verdict = h("div", { class: "lab-verdict", role: "status" });
  const body = h("div", { class: "lab-stages" });
  let told = null;
  let isWhole = false;
  let focused = 0; // the byte of the key that the keyboard is at

  const link = connect(model, (message) => {
    if (message.type === "key") {
      told = message;
      draw();
    } else if (message.type === "boundary") {
      told.boundary = message.boundary;
      drawBoundary();
    } else if (message.type === "problem") verdict.textContent = message.text;
  });

  const typeButtons = TYPES.map(([name, label]) =>
    h(
      "button",
      {
        type: "button",
        "data-key-type": name,
        onclick: () => link.send({ type: "key_type", name }),
      },
      label,
    ),
  );
  const poke = (label, title, attributes, act) =>
    h("button", { type: "button", title, ...attributes, onclick: act }, label);
  const padType = poke(
    "Type: 2 bytes",
    "A varint with a needless byte: the same number, other bytes",
    { "data-poke": "type" },
    () => pad("type"),
  );
  const padLength = poke(
    "Length: 2 bytes",
    "A varint with a needless byte: the same number, other bytes",
    { "data-poke": "length" },
    () => pad("length"),
  );
  const swap = poke(
    "Swap fields",
    "Data before Type: protobuf allows it, libp2p does not",
    { "data-poke": "swap" },
    () => link.send({ type: "swap", value: !told.pokes.is_swapped }),
  );
  const undo = poke("Undo", "The key's canonical bytes again", {}, () =>
    link.send({ type: "reset" }),
  );
  const stages = {
    encoded: h("section", { class: "lab-stage-card", "data-layer": "identity" }),
    multihash: h("section", { class: "lab-stage-card", "data-layer": "address" }),
    text: h("section", { class: "lab-stage-card", "data-layer": "identity" }),
    why: h("section", { class: "lab-stage-card" }),
    boundary: h("section", { class: "lab-stage-card" }),
  };
  const toHash = h("div", { class: "lab-arrow" });
  const slider = h("input", {
    type: "range",
    min: 20,
    max: 100,
    "aria-label": "length of the encoded key in bytes",
    oninput: (event) => link.send({ type: "length", value: Number(event.target.value) }),
  });
  const boundaryText = h("div", { role: "status" });
  const boundaryLine = h("div");
  stages.boundary.append(
    h("h4", {}, "Where hashing begins"),
    h("label", {}, "An encoded key of", slider),
    boundaryText,
    boundaryLine,
  );
  body.append(
    stages.encoded,
    verdict,
    toHash,
    stages.multihash,
    h("div", { class: "lab-arrow" }, "↓ written as text"),
    stages.text,
    stages.why,
    stages.boundary,
  );
  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h(
        "div",
        { class: "lab-bar" },
        h("h3", { class: "lab-title" }, "Key"),
        h(
          "span",
          { class: "lab-group", role: "group", "aria-label": "A new key of this kind" },
          typeButtons,
        ),
        h("span", { class: "lab-grow" }),
        h("span", { class: "lab-quiet" }, "Poke:"),
        padType,
        padLength,
        swap,
        undo,
      ),
      explanation,
      body,
    ),
  );
  drawExplanation(explanation, null);

  function pad(which) {
    link.send({ type: "varint", which: told.pokes.varint === which ? "shortest" : which });
  }

  // -- drawing ----------------------------------------------------------------------------------

  function draw() {
    for (const button of typeButtons)
      button.setAttribute("aria-pressed", String(button.dataset.keyType === told.key_type));
    padType.setAttribute("aria-pressed", String(told.pokes.varint === "type"));
    padLength.setAttribute("aria-pressed", String(told.pokes.varint === "length"));
    swap.setAttribute("aria-pressed", String(told.pokes.is_swapped));
    const isPoked =
      told.pokes.flipped.length > 0 || told.pokes.varint !== "shortest" || told.pokes.is_swapped;
    undo.disabled = !isPoked;
    const hadFocus = stages.encoded.contains(document.activeElement);
    stages.encoded.replaceChildren(
      h(
        "h4",
        {},
        "1 · Public key, as a protobuf",
        h(
          "span",
          { class: "lab-quiet" },
          `${plural(told.encoded.size, "byte")}. Click a byte to turn its lowest bit over.`,
        ),
      ),
      drawBytes(told.encoded, true),
    );
    if (hadFocus) stages.encoded.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
    verdict.className = told.is_accepted ? "lab-verdict" : "lab-verdict lab-no";
    verdict.replaceChildren(h("b", {}, told.is_accepted ? "✓ " : "✕ "), told.verdict);
    if (isPoked) verdict.append(h("div", {}, secondName()));
    const isInline = told.encoded.size <= told.limit;
    toHash.textContent = isInline
      ? `↓ ${told.encoded.size} ≤ ${told.limit} bytes: kept as they are, with two bytes before them`
      : `↓ ${told.encoded.size} > ${told.limit} bytes: hashed with SHA-256`;
    stages.multihash.replaceChildren(
      h(
        "h4",
        {},
        "2 · Multihash",
        h(
          "span",
          { class: "lab-quiet" },
          `${plural(told.multihash.size, "byte")}: this is the peer id, the rest is spelling`,
        ),
      ),
      drawBytes(told.multihash, false),
    );
    drawText();
    drawWhy();
    drawBoundary();
  }

  function secondName() {
    if (told.base58 === told.original) return "The id stays the same.";
    if (told.is_accepted) return `Without the change it was ${told.original}.`;
    return `A decoder that took it would call one key by two names: ${told.original} and ${told.base58}.`;
  }

  function drawBytes(stage, canFlip) {
    const box = h("div", { class: "lab-hex lab-flow" });
    const limit = isWhole ? stage.size : Math.min(stage.size, HEAD);
    leaves(stage.fields).forEach(({ field, layer }, at) => {
      if (field.start >= limit) return;
      const run = h("span", { class: at % 2 ? "lab-run lab-odd" : "lab-run", "data-layer": layer });
      for (let place = field.start; place < Math.min(field.end, limit); place += 1)
        run.append(drawByte(stage, field, place, canFlip), "\u200b");
      box.append(run);
    });
    if (stage.size > limit) {
      box.append(
        h(
          "button",
          {
            type: "button",
            class: "lab-more",
            onclick: () => {
              isWhole = true;
              draw();
            },
          },
          `+ ${plural(stage.size - limit, "byte")}`,
        ),
      );
    }
    return box;
  }

  function drawByte(stage, field, place, canFlip) {
    const hex = stage.hex.slice(2 * place, 2 * place + 2);
    const inKey = stage.key_start < 0 ? -1 : place - stage.key_start;
    const byte = h("i", { "data-key-byte": inKey }, hex);
    const show = () => {
      for (const other of page.querySelectorAll(".lab-hit")) other.classList.remove("lab-hit");
      if (inKey >= 0)
        for (const twin of page.querySelectorAll(`[data-key-byte="${inKey}"]`))
          twin.classList.add("lab-hit");
      drawExplanation(explanation, field);
    };
    byte.addEventListener("pointerenter", show);
    if (told.pokes.flipped.includes(inKey)) byte.classList.add("lab-poked");
    if (!canFlip) return byte;
    const flip = () => {
      focused = place;
      link.send({ type: "flip", position: place });
    };
    byte.setAttribute("role", "button");
    byte.setAttribute(
      "aria-label",
      `byte ${place}, ${hex}, ${field.name}: turn its lowest bit over`,
    );
    byte.tabIndex = place === Math.min(focused, stage.size - 1) ? 0 : -1;
    byte.addEventListener("focus", show);
    byte.addEventListener("click", flip);
    byte.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        event.stopPropagation();
        flip();
      }
      const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const next = way && stages.encoded.querySelector(`[data-key-byte="${place + way}"]`);
      if (!next) return;
      event.preventDefault();
      event.stopPropagation();
      byte.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
      focused = place + way;
    });
    return byte;
  }

  function marked(text, prefix) {
    return text.startsWith(prefix) ? [h("mark", {}, prefix), text.slice(prefix.length)] : [text];
  }

  function drawText() {
    stages.text.replaceChildren(
      h(
        "h4",
        {},
        "3 · Peer id as text",
        h("span", { class: "lab-quiet" }, "two spellings of the same bytes"),
      ),
      h("div", { class: "lab-quiet" }, "base58btc"),
      h("div", { class: "lab-id", "data-id": "base58" }, marked(told.base58, told.prefix)),
      h(
        "div",
        { class: "lab-quiet", style: "margin-top:6px" },
        "CIDv1: b (for base32), then 01 (version), 72 (libp2p-key) and the multihash",
      ),
      h("div", { class: "lab-id", "data-id": "cid" }, told.cid_text),
    );
  }

  function drawWhy() {
    const kind = TYPES.find(([name]) => name === told.key_type)[1];
    const count = told.fixed.split(" ").length;
    stages.why.replaceChildren(
      h("h4", {}, `Why does every ${kind} id begin with ${told.prefix}?`),
      h(
        "div",
        {},
        `The first ${count} bytes of its multihash, `,
        h("span", { class: "lab-mono" }, told.fixed),
        ", are always the same. Fill the others with 00, then with ff: every id lies between these two.",
      ),
      h("div", { class: "lab-id" }, marked(told.lowest, told.prefix)),
      h("div", { class: "lab-id" }, marked(told.highest, told.prefix)),
    );
  }

  function drawBoundary() {
    const { length, text, head, kind } = told.boundary;
    slider.value = length;
    slider.setAttribute("aria-valuetext", `${length} bytes`);
    boundaryText.replaceChildren(
      h("b", {}, `${length} bytes${kind ? ` (${kind})` : ""}: `),
      text,
      h("span", { class: "lab-mono" }, `  ${head} …`),
    );
    boundaryLine.replaceChildren(drawLine(length));
  }

  // Lengths from 20 to 100, the boundary, and where the kinds of key stand.
  function drawLine(length) {
    const x = (value) => 10 + ((value - 20) / 80) * 580;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 600 58");
    svg.setAttribute("aria-hidden", "true");
    svg.setAttribute("style", "width:100%; max-width:720px; display:block; margin-top:4px");
    const draw = (name, attributes, text) => {
      const shape = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
      if (text) shape.textContent = text;
      svg.append(shape);
    };
    const edge = x(told.limit + 0.5);
    const word = { "font-size": 11.5, fill: "var(--lab-text2)" };
    draw("line", {
      x1: x(20),
      x2: edge,
      y1: 30,
      y2: 30,
      stroke: "var(--lab-identity)",
      "stroke-width": 5,
    });
    draw("line", {
      x1: edge,
      x2: x(100),
      y1: 30,
      y2: 30,
      stroke: "var(--lab-address)",
      "stroke-width": 5,
    });
    draw("line", {
      x1: edge,
      x2: edge,
      y1: 4,
      y2: 42,
      stroke: "var(--lab-text)",
      "stroke-width": 1.5,
    });
    draw("text", { ...word, x: edge + 5, y: 13 }, "hashed: 12 20 …");
    draw("text", { ...word, x: edge - 5, y: 13, "text-anchor": "end" }, "kept: 00 …");
    Object.entries(told.key_lengths).forEach(([value, name], at) => {
      draw("circle", {
        cx: x(value),
        cy: 30,
        r: 3.5,
        fill: "var(--lab-back)",
        stroke: "var(--lab-text)",
      });
      draw(
        "text",
        {
          ...word,
          x: x(value) + (at === 0 ? 2 : -2),
          y: 53,
          "text-anchor": at === 0 ? "end" : at === 2 ? "middle" : "start",
        },
        `${name} ${value}`,
      );
    });
    draw("path", { d: `M${x(length)} 30l-6 -12h12z`, fill: "var(--lab-brand)" });
    return svg;
  }

  return () => link.close();
}

export default { render };
