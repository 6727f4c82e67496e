// A button over each drawn peer: what a canvas lacks. They take clicks, drags, the focus and its keys.
import { h, plural } from "./dom.js";

const MAX_DOTS = 200; // beyond, the table has to do
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const ofHost = (node, count) =>
  node.kind === "host" ? plural(count, "link") : `${node.kind}, ${plural(count, "link")}`;

export class Dots {
  constructor(stage, select, describe = ofHost) {
    this.stage = stage;
    this.describe = describe; // a peer and the number of its links, in words
    this.select = select; // called with a peer's id, or null
    this.buttons = new Map(); // peer id → button
    this.scene = null;
  }

  draw() {
    for (const node of this.scene.nodes.slice(0, MAX_DOTS)) {
      if (!this.buttons.has(node.id)) {
        const dot = h("button", {
          class: "lab-dot",
          type: "button",
          tabindex: this.buttons.size === 0 ? 0 : -1,
          "data-peer": node.id,
          onclick: () => this.select(node.id),
          onfocus: () => this.hover(node.id),
          onblur: () => this.hover(null),
          onpointerenter: () => this.hover(node.id),
          onpointerleave: () => this.hover(null),
          onkeydown: (event) => this.onKey(event, node),
          onpointerdown: (event) => this.drag(event, node),
        });
        this.buttons.set(node.id, dot);
        this.stage.append(dot);
      }
      this.label(node);
    }
    this.place();
  }

  label(node) {
    const dot = node && this.buttons.get(node.id);
    if (!dot) return;
    let count = 0;
    for (const one of this.scene.links.values())
      if (one.source === node || one.target === node) count += 1;
    dot.setAttribute("aria-label", `${node.name}, ${this.describe(node, count)}`);
    dot.title = `${node.name}\n${node.id}`;
  }

  place() {
    const reach = this.scene.radius + 4;
    for (const node of this.scene.nodes) {
      const dot = this.buttons.get(node.id);
      if (!dot) continue;
      const [x, y] = this.scene.place(node);
      dot.style.width = dot.style.height = `${2 * reach}px`;
      dot.style.transform = `translate(${x - reach}px, ${y - reach}px)`;
    }
  }

  hover(peer) {
    this.scene.hovered = peer;
    this.scene.wake();
  }

  focus(node) {
    for (const dot of this.buttons.values()) dot.tabIndex = -1;
    const dot = this.buttons.get(node.id);
    dot.tabIndex = 0;
    dot.focus({ preventScroll: true });
  }

  focusOn(peer) {
    this.buttons.get(peer)?.focus({ preventScroll: true });
  }

  onKey(event, node) {
    if (event.key === "Escape") return this.select(null);
    const order = [...this.buttons.keys()];
    if (event.key === "Home" || event.key === "End") {
      event.preventDefault();
      const id = event.key === "Home" ? order[0] : order[order.length - 1];
      return this.focus(this.scene.nodes.find((other) => other.id === id));
    }
    const arrow = ARROWS[event.key];
    if (!arrow) return undefined;
    event.preventDefault();
    event.stopPropagation();
    const [x, y] = this.scene.place(node);
    let best = null;
    let least = Infinity;
    for (const other of this.scene.nodes) {
      if (other === node || !this.buttons.has(other.id)) continue;
      const [ox, oy] = this.scene.place(other);
      const along = (ox - x) * arrow[0] + (oy - y) * arrow[1];
      const aside = Math.abs((ox - x) * arrow[1]) + Math.abs((oy - y) * arrow[0]);
      const cost = along + 2 * aside;
      if (along > 2 && cost < least) [best, least] = [other, cost];
    }
    if (best) this.focus(best);
    return undefined;
  }

  drag(event, node) {
    const dot = event.currentTarget;
    const origin = [event.clientX, event.clientY];
    let isDragging = false;
    dot.setPointerCapture(event.pointerId);
    const move = (moving) => {
      if (!isDragging && Math.hypot(moving.clientX - origin[0], moving.clientY - origin[1]) < 4)
        return;
      isDragging = this.scene.dragged = true;
      const box = this.stage.getBoundingClientRect();
      [node.fx, node.fy] = this.scene.unplace(moving.clientX - box.left, moving.clientY - box.top);
      this.scene.reheat(0.3);
    };
    const end = () => {
      dot.removeEventListener("pointermove", move);
      node.fx = node.fy = null;
      this.scene.dragged = false;
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
}
