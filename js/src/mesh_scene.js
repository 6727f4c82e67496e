// One network's drawing: peers, links in the style that they have for a topic, and the way of a message.
import { forceCollide, forceLink, forceManyBody, forceSimulation, forceX, forceY } from "d3-force";
import { colour, onTheme } from "./dom.js";

export const RING = 64; // up to so many peers stand in a circle: links of all styles can be told apart there
const TICKS = 220;
const LABELS = 45;
const TRAVEL = 600; // ms that a control message is seen
const MAX_PULSES = 400;
export const LOOKS = {
  mesh: { tint: "--lab-p0", width: 2.2, dash: [] },
  fanout: { tint: "--lab-p3", width: 2.2, dash: [9, 4] },
  gossip: { tint: "--lab-p4", width: 1, dash: [2, 4] },
  other: { tint: "--lab-line", width: 1, dash: [] },
};
export const PULSE_TINTS = ["--lab-p4", "--lab-p2", "--lab-p6", "--lab-p7", "--lab-p3"];

export class MeshScene {
  constructor(stage, { moved }) {
    this.stage = stage;
    this.moved = moved;
    this.canvas = stage.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
    this.nodes = []; // by index
    this.links = new Map(); // "a-b" → link
    this.wave = null; // { origin, rows, first }
    this.progress = 0; // hops that the wave has come
    this.pulses = [];
    this.selected = null;
    this.hovered = null;
    this.dragged = false;
    this.size = { width: 0, height: 0 };
    this.ratio = 1;
    this.colours = {};
    this.view = { scale: 1, x: 0, y: 0 };
    this.stats = { frames: 0, slowest: 0 };
    this.isCalm = matchMedia("(prefers-reduced-motion: reduce)");
    this.frame = 0;
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(stage);
    this.endTheme = onTheme(() => this.readColours());
  }

  close() {
    cancelAnimationFrame(this.frame);
    this.resizing.disconnect();
    this.endTheme();
    this.frame = -1;
  }

  readColours() {
    const pick = (name) => colour(this.stage, name);
    this.colours = {
      back: pick("--lab-back"),
      back2: pick("--lab-back2"),
      text: pick("--lab-text"),
      text2: pick("--lab-text2"),
      brand: pick("--lab-brand"),
      bad: pick("--lab-bad"),
      node: pick("--lab-identity"),
      first: pick("--lab-p2"),
      font: getComputedStyle(this.stage).fontFamily,
      looks: Object.fromEntries(Object.entries(LOOKS).map(([name, look]) => [name, pick(look.tint)])),
      pulses: PULSE_TINTS.map(pick),
    };
    this.wake();
  }

  // -- what there is --------------------------------------------------------------------------

  setMembers(members) {
    const before = this.nodes.length;
    for (const member of members) {
      const node = this.nodes[member.index];
      if (node) Object.assign(node, member);
      else this.nodes[member.index] = { ...member };
    }
    if (this.nodes.length !== before && this.nodes.length <= RING) this.standInARing();
  }

  setLinks(rows, styles) {
    this.links = new Map(
      rows.map(([a, b, style]) => [
        `${a}-${b}`,
        { source: this.nodes[a], target: this.nodes[b], style: styles[style] },
      ]),
    );
    if (this.nodes.length > RING && this.settledFor !== this.nodes.length) this.settle();
    this.wake();
  }

  standInARing() {
    const count = this.nodes.length;
    this.nodes.forEach((node, at) => {
      const angle = (2 * Math.PI * at) / count;
      node.x = 100 * Math.sin(angle);
      node.y = -100 * Math.cos(angle);
    });
    this.moved();
  }

  // Too many for one circle: whom the message reached first stands in the middle, then band by band those after.
  standByHops({ origin, rows }) {
    const hops = new Map([[origin, 0]]);
    for (let at = 0; at + 4 < rows.length; at += 5) if (rows[at + 2]) hops.set(rows[at + 1], rows[at + 3]);
    const far = Math.max(...hops.values()) + 1;
    const bands = new Map();
    for (const node of this.nodes) {
      const hop = hops.get(node.index) ?? far;
      if (!bands.has(hop)) bands.set(hop, []);
      bands.get(hop).push(node);
    }
    for (const [hop, band] of bands)
      band.forEach((node, at) => {
        const angle = (2 * Math.PI * at) / band.length + hop;
        const reach = hop === 0 ? 0 : 60 * (hop - 0.3 + 0.6 * ((at * 0.618) % 1));
        node.x = reach * Math.sin(angle);
        node.y = -reach * Math.cos(angle);
      });
    this.moved();
  }

  settle() {
    this.settledFor = this.nodes.length;
    const links = [...this.links.values()].map(({ source, target }) => ({ source, target }));
    const simulation = forceSimulation(this.nodes)
      .force("charge", forceManyBody().strength(-120).distanceMax(500))
      .force("link", forceLink(links).distance(60).strength(links.length > 3 * this.nodes.length ? 0.02 : 0.3))
      .force("x", forceX(0).strength(0.04))
      .force("y", forceY(0).strength(0.06))
      .force("collide", forceCollide(9))
      .stop();
    const ticks = Math.max(30, Math.min(TICKS, 60_000 / this.nodes.length));
    for (let at = 0; at < ticks; at += 1) simulation.tick();
    this.moved();
  }

  reheat() {
    for (const node of this.nodes) {
      if (node.fx === null || node.fx === undefined) continue;
      node.x = node.fx;
      node.y = node.fy;
    }
    this.moved();
    this.wake();
  }

  show(wave, progress) {
    if (wave && wave !== this.wave && this.nodes.length > RING) this.standByHops(wave);
    this.wave = wave;
    this.progress = progress;
    this.wake();
  }

  pulse(numbers) {
    if (this.isCalm.matches) return;
    const now = performance.now();
    for (let at = 0; at + 2 < numbers.length && this.pulses.length < MAX_PULSES; at += 3) {
      const [from, to] = [this.nodes[numbers[at]], this.nodes[numbers[at + 1]]];
      if (from && to) this.pulses.push({ from, to, kind: numbers[at + 2], start: now + 30 * (at % 9) });
    }
    this.wake();
  }

  // -- the picture ----------------------------------------------------------------------------

  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    this.ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.size = { width, height };
    this.canvas.width = width * this.ratio;
    this.canvas.height = height * this.ratio;
    this.readColours();
    this.wake();
  }

  wake() {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame((now) => this.step(now));
  }

  step(now) {
    if (this.frame === -1) return;
    this.frame = 0;
    if (!this.size.width) return; // not on the page yet
    const begun = performance.now();
    if (this.fit()) this.moved();
    this.pulses = this.pulses.filter((one) => now < one.start + TRAVEL);
    this.draw(now);
    this.stats.frames += 1;
    this.stats.slowest = Math.max(this.stats.slowest, performance.now() - begun);
    if (this.pulses.length) this.wake();
  }

  fit() {
    const { width, height } = this.size;
    if (!width || !this.nodes.length) return false;
    const xs = this.nodes.map((node) => node.x ?? 0);
    const ys = this.nodes.map((node) => node.y ?? 0);
    const [left, right] = [Math.min(...xs), Math.max(...xs)];
    const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
    const aside = this.nodes.length <= LABELS ? 160 : 60; // room for names
    const scale = Math.min(
      2.2,
      (width - aside) / Math.max(right - left, 1),
      (height - 70) / Math.max(bottom - top, 1),
    );
    const before = this.view;
    this.view = {
      scale,
      x: width / 2 - ((left + right) / 2) * scale,
      y: height / 2 - 4 - ((top + bottom) / 2) * scale,
    };
    return before.scale !== scale || before.x !== this.view.x || before.y !== this.view.y;
  }

  place(node) {
    return [
      (node.x ?? 0) * this.view.scale + this.view.x,
      (node.y ?? 0) * this.view.scale + this.view.y,
    ];
  }

  unplace(x, y) {
    return [(x - this.view.x) / this.view.scale, (y - this.view.y) / this.view.scale];
  }

  get radius() {
    return this.nodes.length > 300 ? 2.2 : this.nodes.length > 60 ? 5 : this.nodes.length > 25 ? 8 : 10;
  }

  draw(now) {
    const { context, size } = this;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    context.lineCap = "butt";
    for (const style of ["other", "gossip", "fanout", "mesh"]) this.drawLinks(style);
    context.setLineDash([]);
    const counts = this.drawWave();
    if (this.wave) this.drawLinks("fanout"); // the first hop of a fan-out would hide it
    context.setLineDash([]);
    for (const one of this.pulses) if (now >= one.start) this.drawPulse(one, now);
    for (const node of this.nodes) this.drawNode(node, counts);
    this.drawLabels(counts);
    context.globalAlpha = 1;
  }

  drawLinks(style) {
    const { context } = this;
    const look = LOOKS[style];
    const isCrowded = this.links.size > 400;
    context.strokeStyle = this.colours.looks[style];
    context.lineWidth = isCrowded ? look.width / 2 : look.width;
    context.setLineDash(look.dash);
    const faint = this.wave || isCrowded ? 0.4 : 0.8;
    for (const isNear of [false, true]) {
      context.globalAlpha = isNear ? 1 : this.selected || this.hovered ? faint * 0.75 : faint;
      context.beginPath();
      for (const link of this.links.values()) {
        if (link.style !== style || this.isNear(link) !== isNear) continue;
        context.moveTo(...this.place(link.source));
        context.lineTo(...this.place(link.target));
      }
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  isNear({ source, target }) {
    const chosen = this.hovered ?? this.selected;
    return chosen !== null && (source.id === chosen || target.id === chosen);
  }

  // What has arrived by now as lines, what is on its way as dots. Returns copies by peer: [first at, duplicates].
  drawWave() {
    const counts = new Map();
    if (!this.wave) return counts;
    const { context, colours } = this;
    const { rows } = this.wave;
    counts.set(this.wave.origin, { hop: 0, duplicates: 0 });
    const flying = [];
    for (let at = 0; at + 4 < rows.length; at += 5) {
      const [sender, receiver, isFirst, hop] = [rows[at], rows[at + 1], rows[at + 2], rows[at + 3]];
      const [from, to] = [this.nodes[sender], this.nodes[receiver]];
      if (!from || !to || hop - 1 >= this.progress) continue;
      if (hop > this.progress) {
        flying.push([from, to, isFirst, this.progress - (hop - 1)]);
        continue;
      }
      if (!isFirst) {
        const known = counts.get(receiver) ?? { hop, duplicates: 0 };
        known.duplicates += 1;
        counts.set(receiver, known);
        continue;
      }
      const known = counts.get(receiver);
      counts.set(receiver, { hop, duplicates: known?.duplicates ?? 0 });
      context.strokeStyle = colours.first;
      context.lineWidth = this.nodes.length > 300 ? 0.6 : this.nodes.length > RING ? 1.2 : 3;
      context.globalAlpha = this.nodes.length > 300 ? 0.35 : 0.9;
      context.beginPath();
      context.moveTo(...this.place(from));
      context.lineTo(...this.place(to));
      context.stroke();
    }
    for (const [from, to, isFirst, share] of flying) {
      const [x1, y1] = this.place(from);
      const [x2, y2] = this.place(to);
      const [x, y] = [x1 + (x2 - x1) * share, y1 + (y2 - y1) * share];
      context.globalAlpha = 1;
      context.beginPath();
      context.arc(x, y, isFirst ? 4.5 : 3.5, 0, 2 * Math.PI);
      if (isFirst) {
        context.fillStyle = colours.first;
        context.fill();
      } else {
        context.fillStyle = colours.back;
        context.fill();
        context.strokeStyle = colours.bad;
        context.lineWidth = 1.6;
        context.stroke();
      }
    }
    context.globalAlpha = 1;
    return counts;
  }

  drawPulse({ from, to, kind, start }, now) {
    const { context } = this;
    const share = (now - start) / TRAVEL;
    const [x1, y1] = this.place(from);
    const [x2, y2] = this.place(to);
    context.globalAlpha = 1;
    context.fillStyle = this.colours.pulses[kind];
    context.fillRect(x1 + (x2 - x1) * share - 2, y1 + (y2 - y1) * share - 2, 4, 4);
  }

  drawNode(node, counts) {
    const { context, colours, radius } = this;
    const [x, y] = this.place(node);
    const isGone = node.state === "gone";
    const has = !this.wave || counts.has(node.index);
    context.globalAlpha = isGone ? 0.6 : 1;
    if (node.id === this.selected) this.circle(x, y, radius + 5, colours.brand, 3);
    if (this.wave && this.wave.origin === node.index) this.circle(x, y, radius + 3, colours.first, 2);
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = isGone || !node.wants ? colours.back : has ? colours.node : colours.back2;
    context.fill();
    context.setLineDash(node.state === "silent" ? [2, 2] : []);
    context.strokeStyle = isGone ? colours.text2 : colours.node;
    context.lineWidth = radius < 4 ? 0.8 : 2;
    context.stroke();
    context.setLineDash([]);
    const arm = radius * 0.55;
    if (isGone || node.state === "silent") {
      context.strokeStyle = isGone ? colours.text2 : has ? colours.back : colours.node;
      context.beginPath();
      context.moveTo(x - arm, y - arm);
      context.lineTo(x + arm, y + arm);
      if (isGone) {
        context.moveTo(x + arm, y - arm);
        context.lineTo(x - arm, y + arm);
      }
      context.stroke();
    }
  }

  circle(x, y, radius, tint, width) {
    const { context } = this;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.strokeStyle = tint;
    context.lineWidth = width;
    context.stroke();
  }

  // Names, and behind them how many copies came too many.
  drawLabels(counts) {
    const { context, colours } = this;
    const [cx, cy] = [this.size.width / 2, this.size.height / 2 - 4];
    context.globalAlpha = 1;
    context.font = `12px ${colours.font}`;
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 3.5;
    context.strokeStyle = colours.back;
    const isRing = this.nodes.length <= RING;
    for (const node of this.nodes) {
      const isNear = node.id === this.hovered || node.id === this.selected;
      if (this.nodes.length > LABELS && !isNear) continue;
      const [x, y] = this.place(node);
      const away = this.radius + 7;
      const length = Math.hypot(x - cx, y - cy) || 1;
      const [dx, dy] = isRing ? [(x - cx) / length, (y - cy) / length] : [0, 1];
      context.textAlign = dx > 0.3 ? "left" : dx < -0.3 ? "right" : "center";
      const [tx, ty] = [x + dx * away, y + dy * (away + 4)];
      const extra = counts.get(node.index)?.duplicates;
      const text = extra ? `${node.name} +${extra}` : node.name;
      context.strokeText(text, tx, ty);
      context.fillStyle = extra ? colours.bad : node.state === "gone" ? colours.text2 : colours.text;
      context.fillText(text, tx, ty);
    }
  }
}
