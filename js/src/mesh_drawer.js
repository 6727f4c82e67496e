// The drawer of one peer: what it has, what it knows, what it decided, and what it thinks of the others.
import { bytes, h, plural } from "./dom.js";

const list = (names) => (names.length ? names.join(", ") : "nobody");

export class MeshDrawer {
  constructor(act, close) {
    this.act = act; // called with a kind of poke
    this.close = close;
    this.parts = [];
    this.grows = false; // whether peers can be added
    this.shown = "";
    this.element = h("section", { class: "lab-drawer", hidden: true, "aria-label": "Drawer of a peer" });
    this.element.addEventListener("keydown", (event) => event.key === "Escape" && close());
  }

  show(card) {
    const text = JSON.stringify(card);
    if (text === this.shown) return;
    this.shown = text;
    this.element.hidden = !card;
    if (!card) return this.element.replaceChildren();
    const held = this.element.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    const scrolled = this.element.querySelector(".lab-scores")?.scrollTop ?? 0;
    this.element.replaceChildren(this.head(card), h("div", { class: "lab-drawer-grid" }, this.sections(card)));
    if (held) this.element.querySelector(`[data-act=${held}]`)?.focus({ preventScroll: true });
    const scores = this.element.querySelector(".lab-scores");
    if (scores) scores.scrollTop = scrolled;
    return undefined;
  }

  head(card) {
    const button = (kind, words) =>
      h("button", { type: "button", "data-act": kind, onclick: () => this.act(kind, card.name) }, words);
    const isUp = card.state !== "gone" && card.kind !== "remote";
    const kinds = { gossip: "GossipSub", flood: "FloodSub", router: "a router of its own", remote: "seen by others" };
    return h(
      "div",
      { class: "lab-bar" },
      h("h3", { class: "lab-title" }, card.name),
      h("span", { class: "lab-quiet" }, `${kinds[card.kind]}, ${card.state}`),
      h("span", { class: "lab-grow" }),
      ...(isUp
        ? [
            button("publish", "Publish"),
            button("silence", card.state === "silent" ? "Pass messages on again" : "Make it silent"),
            button("spam", "Let it spam"),
            ...(this.grows ? [button("sybils", "Surround it with Sybils")] : []),
            button("kill", "Kill"),
          ]
        : []),
      h("button", { type: "button", "data-act": "close", onclick: this.close }, "Close"),
    );
  }

  sections(card) {
    const part = (title, ...content) => h("div", {}, h("h4", {}, title), ...content);
    const rows = (pairs) => pairs.map(([topic, names]) => h("div", {}, h("b", {}, topic), `: ${list(names)}`));
    const found = [
      part(
        "Messages",
        h("div", { class: "lab-num" }, `${plural(card.received, "copy", "copies")} came, ${card.duplicates} of them too many`),
        h("div", { class: "lab-num" }, `${bytes(card.sent)} sent`),
      ),
      part("Wants", h("div", {}, card.topics.join(", ") || "no topic")),
    ];
    if (card.meshes) found.push(part(card.kind === "flood" ? "Floods to" : "Mesh", ...rows(card.meshes)));
    if (card.fanouts) {
      const used = card.fanouts.filter(([, names]) => names.length);
      found.push(part("Fan-out", ...(used.length ? rows(used) : ["none: it publishes only what it wants"])));
      found.push(part("Back-off: not to be grafted yet", this.backoffs(card.backoffs)));
      found.push(part(`Message cache: ${plural(card.window_count, "window")}, newest first`, this.windows(card)));
      found.push(part("Seen", h("div", { class: "lab-num" }, plural(card.seen, "message id"))));
    }
    if (card.verdict || card.lines.length) {
      const last = card.verdict ? [`${card.beat}: ${card.verdict}`] : [];
      const lines = [...last, ...card.lines.toReversed()];
      found.push(part("Decided, and why, by heartbeat; the newest first", h("ul", {}, lines.map((one) => h("li", {}, one)))));
    }
    if (card.scores) found.push(this.scores(card.scores));
    return found;
  }

  backoffs(rows) {
    if (!rows.length) return h("div", {}, "nobody");
    return h("div", { class: "lab-num" }, rows.map(([name, , left]) => `${name} ${left} s`).join(", "));
  }

  windows(card) {
    const boxes = card.windows.map(([count, ids], at) =>
      h(
        "span",
        {
          class: at < card.gossip_windows ? "lab-window lab-told" : "lab-window",
          title: `${at < card.gossip_windows ? "gossiped about" : "kept for those who ask"}: ${ids.join(", ") || "empty"}`,
        },
        String(count),
      ),
    );
    const words = `${card.windows.map(([count]) => count).join(", ")} messages; the first ${card.gossip_windows} are gossiped about`;
    return h("div", { role: "img", "aria-label": words }, boxes);
  }

  scores(rows) {
    const largest = Math.max(1, ...rows.flatMap(([, , parts]) => parts.map(Math.abs)));
    return h(
      "div",
      { class: "lab-wide lab-scores" },
      h(
        "table",
        {},
        h("caption", {}, "What it thinks of those it is connected with, the worst first"),
        h(
          "thead",
          {},
          h("tr", {}, h("th", { scope: "col" }, "peer"), h("th", { scope: "col" }, "score"), this.parts.map(([name, words]) => h("th", { scope: "col", title: words }, name))),
        ),
        h(
          "tbody",
          {},
          rows.map(([name, total, parts]) =>
            h("tr", {}, h("td", {}, name), h("td", { class: total < 0 ? "lab-num lab-bad" : "lab-num" }, total.toFixed(2)), parts.map((value) => h("td", {}, bar(value, largest)))),
          ),
        ),
      ),
    );
  }
}

/** A number with a bar that grows to the right above 0 and to the left below. */
export function bar(value, largest) {
  if (value === 0) return h("div", { class: "lab-bar-cell lab-num lab-quiet" }, h("span", { class: "lab-scale lab-empty" }), "0");
  const share = (50 * Math.abs(value)) / largest;
  const fill = h("span", { class: value < 0 ? "lab-minus" : "lab-plus" });
  fill.style.width = `${Math.max(2, share)}%`;
  return h("div", { class: "lab-bar-cell lab-num" }, h("span", { class: "lab-scale" }, fill), value.toFixed(2));
}
