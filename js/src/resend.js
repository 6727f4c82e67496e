// Edit and resend: a message's bytes, to be changed by hand, and what a scratch peer makes of the copy.
import { chip, h, plural } from "./dom.js";
import { drawMessage } from "./message.js";

const ARROWS = {
  sent: ["→", "the scratch peer sent"],
  received: ["←", "the scratch peer received"],
  event: ["·", "event"],
};

/**
 * @param offer {hex, note}: the bytes as they were, and what happens to a copy
 * @param send called with the changed bytes, as hex digits
 * @returns {element, show}: the editor, folded up, and where the answer goes
 */
export function drawEditor(offer, send) {
  const status = h("span", { class: "lab-quiet", role: "status" });
  const text = h("textarea", {
    class: "lab-mono",
    rows: Math.min(8, Math.max(2, Math.ceil(offer.hex.length / 48))),
    spellcheck: "false",
    autocomplete: "off",
    "aria-label": "the bytes of the copy, as hex digits",
    oninput: look,
  });
  const go = h("button", { type: "button", class: "lab-primary", onclick: start }, "Send the copy");
  const undo = h("button", { type: "button", onclick: reset }, "Undo changes");
  const answer = h("div", { "aria-live": "polite" });
  const element = h(
    "details",
    { class: "lab-resend" },
    h("summary", {}, "Edit and resend"),
    h(
      "p",
      { class: "lab-quiet" },
      `${offer.note} It is told to a scratch peer; the live peers hear nothing of it.`,
    ),
    text,
    h("div", { class: "lab-bar" }, go, undo, status),
    answer,
  );
  // The list of messages has keys of its own.
  element.addEventListener("keydown", (event) => event.stopPropagation());
  reset();

  function digits() {
    return text.value.replace(/\s+/g, "").toLowerCase();
  }

  function look() {
    const hex = digits();
    const isHex = /^([0-9a-f]{2})*$/.test(hex);
    text.setAttribute("aria-invalid", String(!isHex));
    go.disabled = !isHex;
    if (!isHex) {
      status.textContent = "pairs of hex digits, please";
      return;
    }
    const length = Math.max(hex.length, offer.hex.length) / 2;
    let changed = 0;
    for (let at = 0; at < length; at += 1)
      changed += hex.slice(2 * at, 2 * at + 2) !== offer.hex.slice(2 * at, 2 * at + 2);
    status.textContent = changed ? `${plural(changed, "byte")} changed` : "unchanged";
  }

  function reset() {
    text.value = (offer.hex.match(/../g) ?? []).join(" ");
    look();
  }

  function start() {
    answer.replaceChildren(h("p", { class: "lab-quiet" }, "Sending…"));
    send(digits());
  }

  function show(message) {
    if (message.problem) {
      answer.replaceChildren(h("p", { class: "lab-bad" }, message.problem));
      return;
    }
    const said = message.rows.filter((row) => row.direction === "sent").length;
    const summary = said
      ? `The scratch peer answered with ${plural(said, "message")}:`
      : "The scratch peer answered nothing. What happened there:";
    answer.replaceChildren(h("p", {}, summary), ...message.rows.map(drawRow));
  }

  function drawRow(row) {
    const [arrow, word] = ARROWS[row.direction];
    const inside = h("div");
    const box = h(
      "details",
      { class: "lab-answer", "data-direction": row.direction },
      h(
        "summary",
        {},
        h("span", { role: "img", "aria-label": word, title: word }, arrow),
        " ",
        chip(row.layer),
        ` ${row.title}`,
      ),
      inside,
    );
    box.addEventListener("toggle", () => {
      if (box.open && !inside.firstChild)
        inside.append(...drawMessage(row.message, () => undefined));
    });
    return box;
  }

  return { element, show };
}
