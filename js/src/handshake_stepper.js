// HandshakeStepper: a script of steps, made by the kernel. Stepping happens here; what mallory does, there.
import { connect, h, plural, root } from "./dom.js";
import { drawExplanation, leaves } from "./message.js";

const HEAD = 220; // bytes of a message that are shown at first
const SAME = ["h", "ck", "k", "n", "client", "server", "muxer"]; // what both sides must agree on

function render({ model, el }) {
  const page = root(el, "A handshake, step by step");
  let told = null;
  let at = 0; // the step that is shown
  let isWhole = false; // all bytes of a long message
  let focused = null; // [flight, byte] that the keyboard is at

  const link = connect(model, (message) => {
    if (message.type !== "script") return;
    const isSame =
      told && message.protocol === told.protocol && message.attack === told.attack;
    const flight = told?.steps[at].flight ?? 0;
    told = message;
    at = isSame ? Math.min(at, told.steps.length - 1) : 0;
    // A byte was turned over in the message on show: stay where it is sent.
    if (isSame && told.steps[at].flight !== flight)
      at = Math.max(0, told.steps.findIndex((step) => step.flight === flight));
    draw();
  });

  const button = (text, label, act, attributes = {}) =>
    h("button", { type: "button", title: label, "aria-label": label, onclick: act, ...attributes }, text);

  const protocols = h("span", { class: "lab-group", role: "group", "aria-label": "Protocol" });
  const attack = h("select", {
    "aria-label": "what mallory does",
    class: "lab-shake-attack",
    onchange: () => link.send({ type: "attack", name: attack.value }),
  });
  const undo = button("Undo", "Mallory does nothing, no byte is changed", () =>
    link.send({ type: "reset" }),
  );
  const back = button("◀", "one step back", () => go(at - 1), { "data-go": "back" });
  const next = button("Step ▶", "one step forward", () => go(at + 1), {
    "data-go": "next",
    class: "lab-primary",
  });
  const skip = button("Next message ▶▶", "to the next message", () => go(nextMessage()), {
    "data-go": "message",
  });
  const end = button("End", "to the last step", () => go(told.steps.length - 1), {
    "data-go": "end",
  });
  const place = h("span", { class: "lab-quiet lab-num" });
  const track = h("ol", { class: "lab-shake-track", "aria-label": "all steps" });
  const now = h("div", { class: "lab-verdict", role: "status", "aria-live": "polite" });
  const wire = h("section", { class: "lab-shake-part" });
  const explanation = h("div", { class: "lab-explain", "aria-live": "polite" });
  const state = h("section", { class: "lab-shake-part" });
  const knows = h("section", { class: "lab-shake-part" });
  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h(
        "div",
        { class: "lab-bar" },
        h("h3", { class: "lab-title" }, "Handshake"),
        protocols,
        h("span", { class: "lab-grow" }),
        h("label", {}, "Mallory:", attack),
        undo,
      ),
      h("div", { class: "lab-bar" }, back, next, skip, end, place),
      track,
      h("div", { class: "lab-shake-now" }, now),
      h("div", { class: "lab-shake" }, state, knows),
      wire,
      explanation,
    ),
  );
  drawExplanation(explanation, null);

  page.addEventListener("keydown", (event) => {
    if (event.target.closest("select, [data-place], input")) return;
    const to = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      Home: 0,
      End: told.steps.length - 1,
      PageDown: nextMessage(),
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    go(to);
  });

  function nextMessage() {
    const flight = told.steps[at].flight;
    const found = told.steps.findIndex((step) => step.flight > flight);
    return found < 0 ? told.steps.length - 1 : found;
  }

  function go(to) {
    const inTrack = track.contains(document.activeElement);
    const before = told.steps[at].flight;
    at = Math.min(Math.max(to, 0), told.steps.length - 1);
    if (told.steps[at].flight !== before) isWhole = false;
    draw();
    if (inTrack) track.querySelector('[aria-current="step"]')?.focus({ preventScroll: true });
  }

  // -- drawing ----------------------------------------------------------------------------------

  function draw() {
    const step = told.steps[at];
    protocols.replaceChildren(
      ...told.protocols.map(([name, label]) =>
        button(label, label, () => link.send({ type: "protocol", name }), {
          "data-protocol": name,
          "aria-pressed": String(name === told.protocol),
        }),
      ),
    );
    attack.replaceChildren(
      ...told.attacks.map(([name, label]) =>
        h("option", { value: name, selected: name === told.attack }, label),
      ),
    );
    undo.disabled = !told.attack && !told.flip;
    back.disabled = at === 0;
    next.disabled = skip.disabled = end.disabled = at === told.steps.length - 1;
    place.textContent = `step ${at + 1} of ${told.steps.length}`;
    drawTrack();
    now.className = step.outcome === "refused" || step.outcome === "waits" ? "lab-verdict lab-no" : "lab-verdict";
    now.replaceChildren(
      h("b", {}, `${step.who} · ${step.token}${step.reading ? " (reads)" : ""}: `),
      step.text,
    );
    drawState(step);
    drawKnows(step);
    drawWire(step);
  }

  // The row of the present step stays in sight, without moving the page.
  function showRow() {
    const row = track.querySelector('[aria-current="step"]')?.closest("li");
    if (!row) return;
    const [top, bottom] = [row.offsetTop - 8, row.offsetTop + row.offsetHeight + 8];
    if (top < track.scrollTop) track.scrollTop = top;
    else if (bottom > track.scrollTop + track.clientHeight) track.scrollTop = bottom - track.clientHeight;
  }

  // One row for each message: what its sender does, then what its reader does.
  function drawTrack() {
    const rows = [];
    told.steps.forEach((step, number) => {
      const last = rows.at(-1);
      if (!last || last.flight !== step.flight || (step.token === "split" && !last.isSplit)) {
        rows.push({ flight: step.flight, isSplit: step.token === "split", steps: [] });
      }
      rows.at(-1).steps.push([step, number]);
    });
    track.replaceChildren(
      ...rows.map(({ flight, isSplit, steps }) => {
        const way = told.flights[flight];
        const head = isSplit ? "keys" : `${way.sender} → ${way.receiver}`;
        return h(
          "li",
          {},
          h("span", { class: "lab-shake-head" }, head),
          ...["written", "read"].map((kind) => {
            const own = steps.filter(([step]) => step.reading === (kind === "read"));
            return own.length === 0
              ? null
              : h(
                  "span",
                  { class: "lab-shake-side" },
                  h("span", { class: "lab-quiet" }, isSplit ? "" : `${own[0][0].who}:`),
                  ...own.map(([step, number]) => drawToken(step, number)),
                );
          }),
        );
      }),
    );
    showRow();
  }

  function drawToken(step, number) {
    const isBad = step.outcome === "refused" || step.outcome === "waits";
    const done = number < at ? "lab-past" : "";
    const mark = isBad ? "✕ " : number < at ? "✓ " : "";
    return h(
      "button",
      {
        type: "button",
        class: `lab-token ${done} ${isBad ? "lab-bad" : ""}`,
        "data-step": number,
        "aria-current": number === at ? "step" : null,
        "aria-label": `step ${number + 1}: ${step.who}, ${step.token}${step.reading ? ", reads" : ""}`,
        tabindex: number === at ? 0 : -1,
        onclick: () => go(number),
      },
      mark + step.token,
    );
  }

  function drawState(step) {
    const [left, right] = step.sides;
    const value = (side, name) => {
      const text = step.states[side]?.[name] ?? "";
      const isNew = side === step.who && step.changed.includes(name);
      return h(
        "td",
        { class: `lab-mono ${isNew ? "lab-fresh" : ""}`, title: text, "data-value": `${side}.${name}` },
        isNew ? "● " : "",
        short(text),
      );
    };
    state.replaceChildren(
      h("h4", {}, "What both hold"),
      h(
        "table",
        { class: "lab-held" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, ""),
            h("th", { scope: "col" }, left),
            h("th", { scope: "col" }, h("span", { class: "lab-hidden" }, "the same?")),
            h("th", { scope: "col" }, right),
          ),
        ),
        h(
          "tbody",
          {},
          Object.entries(told.variables).map(([name, meaning]) => {
            const [one, other] = [left, right].map((side) => step.states[side]?.[name] ?? "");
            const both = SAME.includes(name) && one && other;
            const sign = both ? (one === other ? "=" : "≠") : "";
            return h(
              "tr",
              {},
              h("th", { scope: "row", title: meaning }, name),
              value(left, name),
              h(
                "td",
                { class: sign === "≠" ? "lab-quiet" : "lab-good", title: sign === "=" ? "the same" : "" },
                sign,
              ),
              value(right, name),
            );
          }),
        ),
      ),
      h("div", { class: "lab-quiet" }, "● new with this step. = and ≠: do both sides hold the same?"),
    );
  }

  function short(text) {
    if (!/^[0-9a-f]{16,}$/.test(text)) return text || "–";
    return `${text.slice(0, 24).replace(/..(?=.)/g, "$& ")} …`;
  }

  function drawKnows(step) {
    knows.replaceChildren(
      h("h4", {}, "Who knows what"),
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, ""),
            ...told.people.map((who) => h("th", { scope: "col" }, who)),
          ),
        ),
        h(
          "tbody",
          {},
          told.facts.map((fact, row) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, fact),
              ...step.knows[row].map((word, column) =>
                h("td", { "data-knows": `${fact}/${told.people[column]}` }, word || "–"),
              ),
            ),
          ),
        ),
      ),
    );
  }

  function drawWire(step) {
    const hadFocus = wire.contains(document.activeElement);
    const flight = told.flights[step.flight];
    const isFlipped = flight.flipped >= 0;
    wire.replaceChildren(
      h(
        "h4",
        {},
        `${flight.sender} → ${flight.receiver}: ${flight.title}`,
        h(
          "span",
          { class: "lab-quiet" },
          `${plural(flight.size, "byte")}. Click one to turn a bit of it over on its way.`,
        ),
      ),
      h(
        "div",
        { class: "lab-quiet" },
        flight.seals.map(([part, how]) => `${part}: ${how}`).join("  ·  "),
      ),
      drawBytes(flight, step),
    );
    if (flight.note || isFlipped)
      wire.append(
        h(
          "div",
          { class: "lab-bad" },
          flight.note,
          isFlipped ? ` Byte ${flight.flipped} is changed on the way.` : "",
        ),
      );
    if (hadFocus) wire.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
  }

  function drawBytes(flight, step) {
    const box = h("div", { class: "lab-hex lab-flow" });
    const available = flight.hex.length / 2;
    const limit = isWhole ? available : Math.min(available, HEAD);
    leaves(flight.fields, flight.layer).forEach(({ field, layer }, odd) => {
      if (field.start >= limit) return;
      const run = h("span", { class: odd % 2 ? "lab-run lab-odd" : "lab-run", "data-layer": layer });
      if (isCurrent(field, flight, step)) run.classList.add("lab-on");
      for (let byte = field.start; byte < Math.min(field.end, limit); byte += 1)
        run.append(drawByte(flight, step.flight, field, byte), "\u200b");
      box.append(run);
    });
    if (available > limit)
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
          `+ ${plural(flight.size - limit, "byte")}`,
        ),
      );
    return box;
  }

  // Whether these bytes are what the present token sends or reads.
  function isCurrent(field, flight, step) {
    const top = flight.fields.find((one) => one.start <= field.start && field.end <= one.end);
    return Boolean(top) && top.name.split(":")[0] === step.token;
  }

  function drawByte(flight, number, field, place) {
    const hex = flight.hex.slice(2 * place, 2 * place + 2);
    const isFlipped = flight.flipped === place;
    const shown = isFlipped ? (parseInt(hex, 16) ^ 1).toString(16).padStart(2, "0") : hex;
    const byte = h("i", { "data-place": place }, shown);
    byte.addEventListener("pointerenter", () => drawExplanation(explanation, field));
    if (isFlipped) byte.classList.add("lab-poked");
    if (place < flight.fixed) return byte;
    const flip = () => {
      focused = [number, place];
      link.send({ type: "flip", flight: number, byte: place });
    };
    byte.setAttribute("role", "button");
    byte.setAttribute("aria-pressed", String(isFlipped));
    byte.setAttribute("aria-label", `byte ${place}, ${shown}, ${field.name}: change it on the way`);
    const first = focused?.[0] === number ? focused[1] : flight.fixed;
    byte.tabIndex = place === first ? 0 : -1;
    byte.addEventListener("focus", () => drawExplanation(explanation, field));
    byte.addEventListener("click", flip);
    byte.addEventListener("keydown", (event) => {
      const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.key === "Enter" || event.key === " ") flip();
      else if (!way) return;
      event.preventDefault();
      event.stopPropagation();
      const other = way && wire.querySelector(`[role="button"][data-place="${place + way}"]`);
      if (!other) return;
      byte.tabIndex = -1;
      other.tabIndex = 0;
      other.focus();
    });
    return byte;
  }

  return () => link.close();
}

export default { render };
