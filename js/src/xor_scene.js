// The drawing of XorTree: the tree over the key space, the buckets of one peer, and where a lookup is.
import { colour } from "./dom.js";

export const GONE = 1;
export const CLIENT = 2;
export const SYBIL = 4;
const EDGE = 14; // pixels left and right
const TOP = 12;
const FOOT = 74; // for brackets, arcs and the key
const REACH = 12; // pixels from which a click hits a peer

/** The first place in the sorted `spots` that is not before `value`. */
export function lowerBound(spots, value) {
  let low = 0;
  let high = spots.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spots[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The sub-trees that a peer at `own` does not belong to, the largest first: [from, to) of the key space. */
export function buckets(own, count) {
  const found = [];
  let low = 0;
  let size = 1;
  for (let bucket = 0; bucket < count; bucket += 1) {
    size /= 2;
    const is_right = own >= low + size;
    found.push(is_right ? [low, low + size] : [low + size, low + 2 * size]);
    if (is_right) low += size;
  }
  return found;
}

export class Scene {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.low = 0;
    this.size = 1; // of the key space that is shown
    this.data = null;
  }

  zoom(around, depth) {
    this.size = 2 ** -depth;
    this.low = Math.floor(around / this.size) * this.size;
    this.draw();
  }

  x(spot) {
    return EDGE + ((spot - this.low) / this.size) * (this.width - 2 * EDGE);
  }

  spotAt(x) {
    const share = (x - EDGE) / (this.width - 2 * EDGE);
    return Math.min(Math.max(this.low + share * this.size, 0), 1 - 2 ** -40);
  }

  /** The peer next to a point, or -1. */
  peerAt(x) {
    const { spots } = this.data;
    const wanted = this.spotAt(x);
    const at = lowerBound(spots, wanted);
    let best = -1;
    for (const one of [at - 1, at])
      if (one >= 0 && one < spots.length && (best < 0 || Math.abs(spots[one] - wanted) < Math.abs(spots[best] - wanted))) best = one;
    return best >= 0 && Math.abs(this.x(spots[best]) - x) <= REACH ? best : -1;
  }

  draw() {
    const { canvas, context, data } = this;
    const ratio = window.devicePixelRatio || 1;
    this.width = canvas.clientWidth;
    this.height = canvas.clientHeight;
    if (!data || !this.width) return;
    canvas.width = Math.round(this.width * ratio);
    canvas.height = Math.round(this.height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    const names = ["text", "text2", "line", "brand", "back", "bad", "good", "p1"];
    this.c = Object.fromEntries(names.map((name) => [name, colour(canvas, `--lab-${name}`)]));
    this.hues = [2, 3, 4, 5, 7, 0].map((n) => colour(canvas, `--lab-p${n}`));
    context.font = `11px ${getComputedStyle(canvas).fontFamily}`;
    this.floor = this.height - FOOT;
    const zoomed = Math.round(-Math.log2(this.size));
    this.depths = Math.min(20, Math.ceil(Math.log2(Math.max(2, data.spots.length))) + 3 - Math.min(zoomed, 6));
    this.depths = Math.max(5, this.depths);
    const from = lowerBound(data.spots, this.low);
    const to = lowerBound(data.spots, this.low + this.size);
    const own = data.spots[data.viewer];
    const inside = own >= this.low && own < this.low + this.size;
    this.walk(this.low, this.size, 0, from, to, inside ? null : this.hueOf(this.low + this.size / 2));
    this.drawBuckets();
    this.drawPeers(from, to);
    this.drawKey();
    this.drawLookup();
  }

  /** The colour of a place outside the viewer's own way: that of its bucket. */
  hueOf(spot) {
    const spans = buckets(this.data.spots[this.data.viewer], 40);
    const found = spans.findIndex(([low, high]) => spot >= low && spot < high);
    return this.hues[Math.max(0, found) % this.hues.length];
  }

  walk(low, size, depth, from, to, hue) {
    const { context } = this;
    const row = (this.floor - TOP) / this.depths;
    const x = this.x(low + size / 2);
    const y = TOP + depth * row;
    if (to - from === 1 || depth === this.depths || this.x(low + size) - this.x(low) < 2.5) {
      context.strokeStyle = hue ?? this.c.brand;
      context.globalAlpha = hue ? 0.4 : 1;
      context.lineWidth = hue ? 0.8 : 2.5;
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(this.x(to - from === 1 ? this.data.spots[from] : low + size / 2), this.floor);
      context.stroke();
      context.globalAlpha = 1;
      return;
    }
    const half = size / 2;
    const cut = lowerBound(this.data.spots, low + half);
    const own = this.data.spots[this.data.viewer];
    for (const [start, first, last] of [
      [low, from, cut],
      [low + half, cut, to],
    ]) {
      if (first === last) continue;
      const isWay = hue === null && own >= start && own < start + half;
      const mine = isWay ? null : (hue ?? this.hueOf(start + half / 2));
      context.strokeStyle = mine ?? this.c.brand;
      context.lineWidth = isWay ? 2.5 : Math.max(0.7, 1.6 - depth * 0.12);
      context.globalAlpha = isWay ? 1 : 0.75;
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(this.x(start + half / 2), y + row);
      context.stroke();
      context.globalAlpha = 1;
      this.walk(start, half, depth + 1, first, last, mine);
    }
  }

  drawBuckets() {
    const { context, data } = this;
    const spans = buckets(data.spots[data.viewer], data.sizes.length);
    context.textAlign = "center";
    spans.forEach(([low, high], bucket) => {
      const left = Math.max(this.x(low), EDGE);
      const right = Math.min(this.x(high), this.width - EDGE);
      if (right - left < 3) return;
      context.fillStyle = this.hues[bucket % this.hues.length];
      context.fillRect(left + 1, this.floor + 10, right - left - 2, 4);
      const all = lowerBound(data.spots, high) - lowerBound(data.spots, low);
      const words = [`bucket ${bucket}: knows ${data.sizes[bucket]} of ${all.toLocaleString("en")}`, `${bucket}: ${data.sizes[bucket]}/${all}`, `${bucket}`];
      const fits = words.find((text) => context.measureText(text).width < right - left - 4);
      if (fits) {
        context.fillStyle = this.c.text;
        context.fillText(fits, (left + right) / 2, this.floor + 27);
      }
    });
  }

  drawPeers(from, to) {
    const { context, data } = this;
    const known = new Set(data.table);
    const dense = to - from > 1500;
    for (let at = from; at < to; at += 1) {
      const x = this.x(data.spots[at]);
      const flags = data.flags[at];
      const isKnown = known.has(at);
      const r = isKnown ? 3.6 : dense ? 1 : 2;
      if (flags & SYBIL) {
        context.fillStyle = this.c.bad;
        context.fillRect(x - r, this.floor - r, 2 * r, 2 * r);
      } else if (flags & GONE) {
        context.strokeStyle = isKnown ? this.c.bad : this.c.text2;
        context.lineWidth = isKnown ? 1.6 : 0.7;
        context.beginPath();
        context.moveTo(x - r, this.floor - r);
        context.lineTo(x + r, this.floor + r);
        context.moveTo(x + r, this.floor - r);
        context.lineTo(x - r, this.floor + r);
        context.stroke();
      } else {
        context.beginPath();
        context.arc(x, this.floor, r, 0, 7);
        context.fillStyle = flags & CLIENT ? this.c.back : isKnown ? this.hueOf(data.spots[at]) : this.c.text2;
        context.fill();
        context.strokeStyle = isKnown ? this.hueOf(data.spots[at]) : this.c.text2;
        context.lineWidth = flags & CLIENT ? 1 : 0.4;
        context.stroke();
      }
    }
    this.dot(data.viewer, 7, this.c.brand, this.c.back);
    if (data.selected >= 0) this.ring(data.selected, 9, this.c.text, 2);
  }

  drawKey() {
    const { context, data } = this;
    const x = this.x(data.target);
    context.strokeStyle = context.fillStyle = this.c.p1;
    context.setLineDash([5, 4]);
    context.lineWidth = 1.4;
    context.beginPath();
    context.moveTo(x, TOP);
    context.lineTo(x, this.floor + 36);
    context.stroke();
    context.setLineDash([]);
    context.beginPath();
    context.moveTo(x, this.floor + 34);
    context.lineTo(x - 8, this.floor + 48);
    context.lineTo(x + 8, this.floor + 48);
    context.fill();
    context.textAlign = x < 60 ? "left" : x > this.width - 60 ? "right" : "center";
    context.fillText("key", x, this.floor + 62);
  }

  drawLookup() {
    const { data } = this;
    const now = data.now;
    if (!now) return;
    const asker = data.spots[data.trail.asker];
    for (const [at, state] of now.states) {
      if (state.kind === "waiting") this.arc(asker, data.spots[at], this.c.brand, 1.8);
      else if (state.kind === "answered") this.dot(at, 4.6, this.c.good, this.c.back);
      else if (state.kind === "failed") this.ring(at, 6, this.c.bad, 1.6);
    }
    for (const at of now.next) this.ring(at, 7, this.c.brand, 1.4, [3, 2]);
    if (now.last && now.last.kind === "answered") {
      this.ring(now.last.peer, 8, this.c.good, 2);
      for (const at of now.last.named) this.arc(data.spots[now.last.peer], data.spots[at], this.c.good, 0.9);
    }
  }

  arc(from, to, stroke, width) {
    const { context } = this;
    const [a, b] = [this.x(from), this.x(to)];
    const rise = Math.min(34 + Math.abs(b - a) / 8, 110);
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(a, this.floor);
    context.quadraticCurveTo((a + b) / 2, this.floor - 2 * rise, b, this.floor);
    context.stroke();
  }

  dot(at, r, fill, stroke) {
    const { context } = this;
    context.beginPath();
    context.arc(this.x(this.data.spots[at]), this.floor, r, 0, 7);
    context.fillStyle = fill;
    context.fill();
    context.strokeStyle = stroke;
    context.lineWidth = 1.5;
    context.stroke();
  }

  ring(at, r, stroke, width, dash = []) {
    const { context } = this;
    context.setLineDash(dash);
    context.beginPath();
    context.arc(this.x(this.data.spots[at]), this.floor, r, 0, 7);
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.stroke();
    context.setLineDash([]);
  }
}
