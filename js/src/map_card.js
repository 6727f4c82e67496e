// The card of one peer: who it is, what it is connected to, what passes, and two buttons.
import { bytes, h } from "./dom.js";

const KEEP_RATES = 40; // points of the curve

export class Card {
  /**
   * @param scene what there is to show
   * @param send to the kernel
   * @param close called when a person closes the card
   */
  constructor(scene, send, close) {
    this.scene = scene;
    this.send = send;
    this.close = close;
    this.element = h("aside", { class: "lab-card", hidden: true, "aria-label": "Card of a peer" });
    this.peer = null;
    this.from = ""; // the host that dials and pings
    this.parts = {};
    this.rates = [];
    this.last = null;
  }

  open(peer) {
    this.peer = peer;
    this.rates = [];
    this.last = null;
    this.element.hidden = peer === null;
    if (peer === null) this.element.replaceChildren();
    else this.build(this.scene.nodes.find((node) => node.id === peer));
  }

  // Nothing was told for a while: nothing moved.
  quiet() {
    if (this.peer === null || !this.last || performance.now() - this.last.at < 1200) return;
    this.note({ out: 0, in: 0 });
    this.drawCurve();
  }

  note(rate) {
    this.rates.push(rate);
    if (this.rates.length > KEEP_RATES) this.rates.shift();
  }

  result(message) {
    if (message.peer !== this.peer) return;
    this.parts.result.className = message.ok ? "lab-good" : "lab-bad";
    this.parts.result.textContent = message.text;
  }

  build(node) {
    const others = this.scene.nodes.filter(
      (other) => other.kind === "host" && other.id !== node.id,
    );
    if (!others.some((other) => other.id === this.from)) this.from = others[0]?.id ?? "";
    this.parts = {
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
        onchange: (event) => (this.from = event.target.value),
        "aria-label": "the host that dials or pings",
      },
      others.map((other) =>
        h("option", { value: other.id, selected: other.id === this.from }, other.name),
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
            this.parts.result.className = "lab-quiet";
            this.parts.result.textContent = type === "ping" ? "pinging …" : "dialing …";
            this.send({ type, from: this.from, peer: node.id });
          },
        },
        text,
      );
    this.element.replaceChildren(
      h(
        "div",
        { style: "display:flex; align-items:start; gap:8px" },
        h("div", { class: "lab-grow" }, h("h3", {}, node.name), this.parts.state),
        h(
          "button",
          { type: "button", "aria-label": "close the card", onclick: () => this.close() },
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
      this.parts.result,
      h("h4", {}, "Throughput"),
      this.parts.through,
      this.parts.curve,
      h("h4", {}, "Connections"),
      this.parts.connections,
      h("h4", {}, "Addresses"),
      this.parts.addrs,
      h("h4", {}, "Protocols"),
      this.parts.protocols,
    );
    this.element.onkeydown = (event) => {
      if (event.key === "Escape") this.close();
    };
  }

  show(told) {
    const node = this.scene.nodes[told.index];
    if (!node || node.id !== this.peer) return;
    const kinds = {
      host: "a host in this kernel",
      remote: "seen by others; its own trace is not followed",
      closed: "closed",
    };
    this.parts.state.textContent = told.agent
      ? `${kinds[node.kind]} · ${told.agent}`
      : kinds[node.kind];
    this.fill(
      this.parts.addrs,
      told.addrs.map((addr) => h("span", { class: "lab-mono" }, addr)),
      "none known",
    );
    this.fill(
      this.parts.protocols,
      told.protocols.map((name) => h("span", { class: "lab-mono" }, name)),
      "not told yet",
    );
    this.fill(
      this.parts.connections,
      told.connections.map((one) => {
        const arrow = one.direction === "outbound" ? "→" : "←";
        const how = [one.transport, one.security, one.muxer].join(" · ");
        const streams = one.streams.length ? ` · ${one.streams.join(", ")}` : "";
        return [
          h("span", { "aria-label": one.direction }, arrow),
          ` ${this.scene.nodes[one.peer]?.name ?? "?"} `,
          h("span", { class: "lab-quiet lab-mono" }, how + streams),
        ];
      }),
      "none",
    );
    const now = performance.now();
    if (this.last && now - this.last.at > 400) {
      const span = (now - this.last.at) / 1000;
      this.note({
        out: (told.sent - this.last.sent) / span,
        in: (told.received - this.last.received) / span,
      });
      this.last = { at: now, sent: told.sent, received: told.received };
    } else this.last ??= { at: now, sent: told.sent, received: told.received };
    const latest = this.rates[this.rates.length - 1] ?? { out: 0, in: 0 };
    this.parts.through.textContent = told.followed
      ? `out ${bytes(latest.out)}/s (${bytes(told.sent)} in all), in ${bytes(latest.in)}/s (${bytes(told.received)})`
      : "only a followed host tells";
    this.drawCurve();
  }

  fill(target, items, empty) {
    const lines = items.length ? items : [h("span", { class: "lab-quiet" }, empty)];
    target.replaceChildren(...lines.map((item) => h("li", {}, item)));
  }

  drawCurve() {
    const { curve } = this.parts;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [curve.clientWidth, curve.clientHeight];
    curve.width = width * ratio;
    curve.height = height * ratio;
    const context = curve.getContext("2d");
    context.scale(ratio, ratio);
    const top = Math.max(...this.rates.flatMap((one) => [one.out, one.in]), 1);
    for (const [key, variable] of [
      ["out", "--lab-p0"],
      ["in", "--lab-p3"],
    ]) {
      context.strokeStyle = getComputedStyle(this.element).getPropertyValue(variable);
      context.lineWidth = 1.5;
      context.setLineDash(key === "in" ? [4, 3] : []);
      context.beginPath();
      this.rates.forEach((one, at) => {
        const x = (at / (KEEP_RATES - 1)) * width;
        context.lineTo(x, height - 3 - (one[key] / top) * (height - 6));
      });
      context.stroke();
    }
  }
}
