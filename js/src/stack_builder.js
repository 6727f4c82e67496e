// StackBuilder: a peer's layers as tiles. Look into one; take one out, dial, and see where it ends.
import { connect, h, root, specLink } from "./dom.js";
import { drawExplanation, drawMessage } from "./message.js";

const MARKS = { done: "✓", failed: "✕", "left out": "–", "not reached": "·" };
const ARROWS = { sent: "→ ", received: "← ", event: "· " };

function render({ model, el }) {
  const page = root(el, "Stack of layers");
  const tiles = h("div", {
    class: "lab-tiles",
    role: "group",
    "aria-label": "Layers, the top one first",
  });
  const pane = h("div", { class: "lab-pane" });
  const explanation = h("div", { class: "lab-explain", "aria-live": "polite" });
  const peer = h("span", { class: "lab-quiet" });
  const dialButton = h("button", { type: "button", class: "lab-primary", onclick: dial }, "Dial");
  const status = h("span", { class: "lab-quiet", role: "status" });
  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h(
        "div",
        { class: "lab-bar" },
        h("h3", { class: "lab-title" }, "Stack"),
        peer,
        h("span", { class: "lab-grow" }),
        status,
        dialButton,
      ),
      h("div", { class: "lab-stack" }, tiles, pane),
      explanation,
    ),
  );
  drawExplanation(explanation, null);

  let slots = [];
  let without = "";
  let selected = "";
  let outcome = null;
  let bytes = null; // where the selected layer's latest message is drawn
  let stepBytes = null;

  const link = connect(model, (message) => {
    switch (message.type) {
      case "stack":
        slots = message.slots;
        peer.textContent = message.peer;
        drawTiles();
        if (!selected) welcome();
        break;
      case "slot":
        drawSlot(message);
        break;
      case "bytes":
        if (message.slot === selected && bytes) drawBytes(message);
        break;
      case "outcome":
        outcome = message;
        status.textContent = "";
        dialButton.disabled = false;
        drawOutcome();
        break;
      case "message":
        if (stepBytes) stepBytes.replaceChildren(...drawMessage(message.message, explain));
        break;
      case "problem":
        status.textContent = message.text;
        dialButton.disabled = false;
        break;
    }
  });

  const explain = (field) => drawExplanation(explanation, field);

  function drawTiles() {
    const boxes = [...slots].reverse().map((slot) => {
      const isOut = slot.name === without;
      const look = h(
        "button",
        {
          type: "button",
          "data-slot": slot.name,
          "aria-pressed": String(slot.name === selected),
          onclick: () => choose(slot.name),
        },
        h("b", {}, slot.name),
        ` · ${slot.part}`,
        h("span", {}, slot.task),
      );
      const take = h(
        "button",
        {
          type: "button",
          "data-take": slot.name,
          "aria-pressed": String(isOut),
          "aria-label": isOut ? `put ${slot.name} back` : `take ${slot.name} out`,
          title: isOut ? "put it back" : "take it out",
          onclick: () => takeOut(slot.name),
        },
        isOut ? "↩" : "✕",
      );
      const state = `${isOut ? " lab-out" : ""}${slot.name === selected ? " lab-open" : ""}`;
      return h("div", { class: `lab-tile${state}`, "data-layer": slot.layer }, look, take);
    });
    const focus = document.activeElement?.dataset ?? {};
    tiles.replaceChildren(...boxes);
    if (focus.slot)
      tiles.querySelector(`[data-slot="${focus.slot}"]`)?.focus({ preventScroll: true });
    if (focus.take)
      tiles.querySelector(`[data-take="${focus.take}"]`)?.focus({ preventScroll: true });
    dialButton.textContent = without ? `Dial without ${without}` : "Dial";
  }

  function welcome() {
    pane.replaceChildren(
      h(
        "p",
        {},
        "Eight layers, the application on top. Click one to see its source, its bytes on the wire right now, and its spec.",
      ),
      h(
        "p",
        {},
        "Then take one out with ✕ and dial: a scratch peer that lacks it dials this one, for real. Guess first: at which message will it end?",
      ),
    );
  }

  function choose(name) {
    selected = name;
    drawTiles();
    link.send({ type: "look", slot: name });
  }

  function takeOut(name) {
    without = without === name ? "" : name;
    drawTiles();
  }

  function dial() {
    dialButton.disabled = true;
    status.textContent = "dialing …";
    selected = "";
    link.send({ type: "dial", without });
    drawTiles();
  }

  // -- one layer --------------------------------------------------------------------------------

  function drawSlot(message) {
    if (message.slot !== selected) return;
    const slot = slots.find((one) => one.name === message.slot);
    bytes = h("div");
    stepBytes = null;
    pane.replaceChildren(
      h("h3", {}, `${slot.name}: ${slot.part}`),
      h("div", {}, `It ${slot.task}. Spec: `, specLink(slot.spec)),
      h("h4", {}, "Its bytes right now"),
      bytes,
      h("h4", {}, "Source: ", h("span", { class: "lab-mono" }, message.path)),
      h("pre", { tabindex: 0, "aria-label": `source of ${message.path}` }, message.source),
    );
    drawBytes(message);
  }

  function drawBytes(message) {
    if (!message.message) {
      bytes.replaceChildren(h("p", { class: "lab-quiet" }, message.empty));
      return;
    }
    const title = h(
      "p",
      { class: "lab-mono", style: "margin:0 0 6px" },
      (ARROWS[message.when] ?? "") + message.message.title,
    );
    bytes.replaceChildren(title, ...drawMessage(message.message, explain));
  }

  // -- a dial -----------------------------------------------------------------------------------

  function drawOutcome() {
    const failed = outcome.steps.find((step) => step.state === "failed");
    const verdict = h("p", {
      role: "status",
      class: failed ? "lab-verdict lab-no" : "lab-verdict",
      style: "margin:0",
    });
    if (failed) {
      verdict.append(
        h("b", {}, `It ends at ${failed.slot}. `),
        h("span", { style: "white-space:pre-line" }, outcome.error),
      );
      if (outcome.remote)
        verdict.append(h("div", {}, h("b", {}, "The other side noted: "), outcome.remote));
    } else
      verdict.append(
        h("b", {}, "All steps work: "),
        "connected, identified, and the ping came back.",
      );
    const steps = outcome.steps.map((step) => {
      const words = [h("span", {}, step.state === "failed" ? "" : `${step.text || step.state} `)];
      if (step.title) {
        words.push(
          h(
            "button",
            {
              type: "button",
              class: "lab-more lab-mono",
              "data-step": step.slot,
              title: "open this message",
              onclick: () =>
                link.send({ type: "open_step", without: outcome.without, slot: step.slot }),
            },
            `${ARROWS[step.direction] ?? ""}${step.title}`,
          ),
        );
      }
      return h(
        "li",
        { class: step.state === "failed" ? "lab-fail" : step.state === "done" ? "" : "lab-quiet" },
        h(
          "span",
          {
            class: step.state === "failed" ? "lab-bad" : step.state === "done" ? "lab-good" : "",
            "aria-label": step.state,
          },
          MARKS[step.state],
        ),
        h("b", {}, step.slot),
        h("div", {}, words),
      );
    });
    bytes = null;
    stepBytes = h("div");
    pane.replaceChildren(
      h("h3", {}, outcome.without ? `Dialed without ${outcome.without}` : "Dialed with all layers"),
      verdict,
      h("ol", { class: "lab-steps", "aria-label": "steps, in the order of a connection" }, steps),
      stepBytes,
    );
    if (failed?.title)
      link.send({ type: "open_step", without: outcome.without, slot: failed.slot });
  }

  return () => link.close();
}

export default { render };
