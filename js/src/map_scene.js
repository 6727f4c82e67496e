// The map's drawing: where peers stand, and what moves between them. It knows no kernel and no buttons.
import { forceCollide, forceLink, forceManyBody, forceSimulation, forceX, forceY } from "d3-force";
import { colour, onTheme } from "./dom.js";

const TRAVEL = 650; // ms from one end of a link to the other
const FOLLOW = 45; // ms between two dots that set out together
const MAX_PARTICLES = 1500;
const LABELS = 45; // more peers than this, and only the near ones are labelled
const SETTLED = 0.02;
const PALETTE = 8;
const LAYER_KINDS = ["negotiation", "security", "muxer"];

export class Scene {
  constructor(stage, { moved }) {
    this.stage = stage;
    this.moved = moved; // called after each step in which peers moved
    this.canvas = stage.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
    this.nodes = []; // by the peer's index
    this.links = new Map(); // by the link's index
    this.protocols = []; // by number
    this.particles = [];
    this.selected = null;
    this.hovered = null;
    this.only = new Set(); // protocols to show; empty: all
    this.stats = { frames: 0, updates: 0, slowest: 0 };
    this.isCalm = matchMedia("(prefers-reduced-motion: reduce)");
    this.size = { width: 0, height: 0 };
    this.ratio = 1;
    this.colours = {};
    this.view = { scale: 1, x: 0, y: 0 };
    this.simulation = forceSimulation([])
      .force("charge", forceManyBody().strength(-260).distanceMax(420))
      .force("link", forceLink([]).distance(95).strength(0.25))
      .force("x", forceX(0).strength(0.035))
      .force("y", forceY(0).strength(0.11))
      .force("collide", forceCollide(20))
      .stop();
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
      line: pick("--jp-border-color1") || pick("--lab-line"),
      text: pick("--lab-text"),
      text2: pick("--lab-text2"),
      brand: pick("--lab-brand"),
      node: pick("--lab-identity"),
      font: getComputedStyle(this.stage).fontFamily,
    };
    for (const protocol of this.protocols) this.paint(protocol);
    this.wake();
  }

  // A protocol on a stream gets the next colour; the upkeep of connections has its layer's colour.
  paint(protocol) {
    const isLayer = LAYER_KINDS.includes(protocol.kind);
    const before = this.protocols.filter(
      (other) => other.number < protocol.number && !LAYER_KINDS.includes(other.kind),
    );
    protocol.variable = isLayer ? `--lab-${protocol.kind}` : `--lab-p${before.length % PALETTE}`;
    protocol.isLayer = isLayer;
    protocol.colour = colour(this.stage, protocol.variable);
  }

  // -- what there is --------------------------------------------------------------------------

  addProtocols(protocols) {
    for (const protocol of protocols) {
      if (this.protocols[protocol.number]) continue;
      this.protocols[protocol.number] = { messages: 0, bytes: 0, ...protocol };
      this.paint(this.protocols[protocol.number]);
    }
  }

  setPeers(peers) {
    let grown = false;
    for (const peer of peers) {
      const node = this.nodes[peer.index];
      if (node) Object.assign(node, peer);
      else {
        this.nodes[peer.index] = { ...peer };
        grown = true;
      }
    }
    if (grown) {
      this.simulation.nodes(this.nodes);
      this.nodes.forEach((node, index) => (node.index = index));
      this.reheat(0.9);
    }
  }

  setLinks(links) {
    let changed = false;
    for (const link of links) {
      const known = this.links.get(link.index);
      if (!link.connections) {
        changed = this.links.delete(link.index) || changed;
      } else if (known) Object.assign(known, link);
      else {
        const [a, b] = link.ends;
        this.links.set(link.index, {
          ...link,
          heat: 0,
          colour: "",
          source: this.nodes[a],
          target: this.nodes[b],
        });
        changed = true;
      }
    }
    if (changed) {
      const many = this.links.size > 3 * this.nodes.length;
      this.simulation
        .force("link")
        .links([...this.links.values()])
        .distance(many ? 150 : 95)
        .strength(many ? 0.03 : 0.25);
      this.reheat(0.4);
    }
    this.wake();
  }

  reheat(alpha) {
    const first = !this.started && this.nodes.length > 0;
    this.simulation.alpha(Math.max(this.simulation.alpha(), alpha));
    if (first) {
      // The first picture is a calm one: most of the settling happens before it is shown.
      this.started = true;
      for (let step = 0; step < 80; step += 1) this.simulation.tick();
    }
    this.wake();
  }

  // Four numbers a flight: link, protocol × 2 + direction, messages, bytes.
  fly(flights, span) {
    this.stats.updates += 1;
    const now = performance.now();
    const launched = new Map(); // on each link in this batch: they follow each other, none is hidden
    for (let at = 0; at + 3 < flights.length; at += 4) {
      const link = this.links.get(flights[at]);
      const protocol = this.protocols[flights[at + 1] >> 1];
      if (!protocol) continue;
      const messages = flights[at + 2];
      const size = flights[at + 3];
      protocol.messages += messages;
      protocol.bytes += size;
      if (!link || (this.only.size && !this.only.has(protocol.number))) continue;
      link.heat = 1;
      link.hot = protocol;
      if (this.isCalm.matches) continue;
      const copies = Math.min(messages, 3);
      const radius = Math.min(2 + Math.log2(1 + size / messages) * 0.28, 6);
      for (let copy = 0; copy < copies; copy += 1) {
        if (this.particles.length >= MAX_PARTICLES) break;
        const place = launched.get(link) ?? 0;
        launched.set(link, place + 1);
        const start = now + (span * copy) / copies + place * FOLLOW;
        const back = (flights[at + 1] & 1) === 1;
        this.particles.push({ link, protocol, radius, start, back });
      }
    }
    this.wake();
  }

  // -- the picture ----------------------------------------------------------------------------

  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    if (!width || !height) return;
    this.size = { width, height };
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    this.ratio = ratio;
    this.readColours(); // not before: the stage has no style until it stands on the page
    this.fit(1);
    this.wake();
  }

  wake() {
    if (this.frame !== 0) return;
    this.last = performance.now();
    this.frame = requestAnimationFrame((now) => this.step(now));
  }

  step(now) {
    if (this.frame === -1) return;
    this.frame = 0;
    const begun = performance.now();
    let isBusy = false;
    // Steps follow the clock, not the frames: peers settle equally fast on a slow machine.
    const elapsed = Math.min(Math.max(now - this.last, 1), 250);
    this.last = now;
    const steps = Math.max(1, Math.round(elapsed / 16));
    for (let at = 0; at < steps && (this.simulation.alpha() > SETTLED || this.dragged); at += 1) {
      this.simulation.tick();
      isBusy = true;
      if (performance.now() - begun > 8) break;
    }
    isBusy = this.fit(1 - Math.exp(-elapsed / 110)) || isBusy;
    if (isBusy) this.moved();
    this.particles = this.particles.filter((particle) => now < particle.start + TRAVEL);
    for (const link of this.links.values()) {
      if (link.heat > 0) {
        link.heat = Math.max(0, link.heat - elapsed / 650);
        isBusy = true;
      }
    }
    this.draw(now);
    this.stats.frames += 1;
    this.stats.slowest = Math.max(this.stats.slowest, performance.now() - begun);
    if (isBusy || this.particles.length) {
      this.frame = requestAnimationFrame((then) => this.step(then));
    }
  }

  // Moves the view a share of the way towards one that shows every peer.
  fit(share) {
    const { width, height } = this.size;
    if (!width || !this.nodes.length) return false;
    const xs = this.nodes.map((node) => node.x ?? 0);
    const ys = this.nodes.map((node) => node.y ?? 0);
    const [left, right] = [Math.min(...xs), Math.max(...xs)];
    const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
    const scale = Math.min(
      2.8,
      (width - 110) / Math.max(right - left, 1),
      (height - 80) / Math.max(bottom - top, 1),
    );
    const goal = {
      scale,
      x: width / 2 - ((left + right) / 2) * scale,
      y: height / 2 - 4 - ((top + bottom) / 2) * scale,
    };
    let moved = false;
    for (const key of ["scale", "x", "y"]) {
      const gap = goal[key] - this.view[key];
      if (Math.abs(gap) < (key === "scale" ? 0.001 : 0.3)) continue;
      this.view[key] += gap * share;
      moved = true;
    }
    return moved;
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
    return this.nodes.length > 60 ? 7 : this.nodes.length > 25 ? 9 : 12;
  }

  draw(now) {
    const { context, colours, size } = this;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    context.lineCap = "round";
    this.drawLinks();
    for (const particle of this.particles)
      if (now >= particle.start) this.drawParticle(particle, now);
    for (const node of this.nodes) this.drawNode(node);
    context.globalAlpha = 1;
    this.drawLabels(colours);
  }

  drawLinks() {
    const { context, colours } = this;
    const isCrowded = this.links.size > 400;
    context.strokeStyle = colours.line;
    context.globalAlpha = isCrowded ? 0.45 : 1;
    context.lineWidth = isCrowded ? 0.8 : 1.4;
    context.beginPath();
    for (const link of this.links.values()) {
      const [x1, y1] = this.place(link.source);
      const [x2, y2] = this.place(link.target);
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
    }
    context.stroke();
    for (const link of this.links.values()) {
      if (link.heat > 0) this.drawHeat(link);
      if (link.streams.length && !isCrowded) this.drawStreams(link);
    }
  }

  drawHeat(link) {
    const { context } = this;
    context.globalAlpha = link.heat * 0.35;
    context.strokeStyle = link.hot.colour;
    context.lineWidth = this.isCalm.matches ? 5 : 3;
    context.beginPath();
    context.moveTo(...this.place(link.source));
    context.lineTo(...this.place(link.target));
    context.stroke();
  }

  // Open streams lie beside each other along the link, each in its protocol's colour.
  drawStreams(link) {
    const { context } = this;
    const [x1, y1] = this.place(link.source);
    const [x2, y2] = this.place(link.target);
    const length = Math.hypot(x2 - x1, y2 - y1) || 1;
    const [nx, ny] = [-(y2 - y1) / length, (x2 - x1) / length];
    const strands = link.streams.flatMap(([number, count]) =>
      Array(Math.min(count, 3)).fill(this.protocols[number]?.colour),
    );
    const shown = strands.slice(0, 6);
    context.globalAlpha = 0.85;
    context.lineWidth = 1.6;
    shown.forEach((tint, at) => {
      const offset = (at - (shown.length - 1) / 2) * 3;
      context.strokeStyle = tint;
      context.beginPath();
      context.moveTo(x1 + nx * offset, y1 + ny * offset);
      context.lineTo(x2 + nx * offset, y2 + ny * offset);
      context.stroke();
    });
  }

  drawParticle({ link, protocol, radius, start, back }, now) {
    const { context, colours } = this;
    const [from, to] = back ? [link.target, link.source] : [link.source, link.target];
    const [x1, y1] = this.place(from);
    const [x2, y2] = this.place(to);
    const share = (now - start) / TRAVEL;
    const x = x1 + (x2 - x1) * share;
    const y = y1 + (y2 - y1) * share;
    context.globalAlpha = 1;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    if (protocol.isLayer) {
      context.fillStyle = colours.back;
      context.fill();
      context.strokeStyle = protocol.colour;
      context.lineWidth = 1.8;
      context.stroke();
    } else {
      context.fillStyle = protocol.colour;
      context.fill();
    }
  }

  drawNode(node) {
    const { context, colours, radius } = this;
    const [x, y] = this.place(node);
    const isClosed = node.kind === "closed";
    context.globalAlpha = isClosed ? 0.6 : 1;
    if (node.id === this.selected) {
      context.beginPath();
      context.arc(x, y, radius + 5, 0, 2 * Math.PI);
      context.strokeStyle = colours.brand;
      context.lineWidth = 3;
      context.stroke();
    }
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = isClosed || node.kind === "remote" ? colours.back2 : colours.node;
    context.fill();
    context.setLineDash(node.kind === "remote" ? [3, 3] : []);
    context.strokeStyle = isClosed
      ? colours.text2
      : node.kind === "remote"
        ? colours.node
        : colours.back;
    context.lineWidth = 2;
    context.stroke();
    context.setLineDash([]);
    if (isClosed) {
      const arm = radius * 0.45;
      context.beginPath();
      context.moveTo(x - arm, y - arm);
      context.lineTo(x + arm, y + arm);
      context.moveTo(x + arm, y - arm);
      context.lineTo(x - arm, y + arm);
      context.stroke();
    }
  }

  drawLabels(colours) {
    const { context } = this;
    const near = new Set([this.selected, this.hovered]);
    if (this.nodes.length > LABELS) {
      for (const link of this.links.values()) {
        if (link.source.id === this.hovered) near.add(link.target.id);
        if (link.target.id === this.hovered) near.add(link.source.id);
      }
    }
    context.font = `12px ${colours.font}`;
    context.textAlign = "center";
    context.textBaseline = "top";
    context.lineJoin = "round";
    for (const node of this.nodes) {
      if (this.nodes.length > LABELS && !near.has(node.id)) continue;
      const [x, y] = this.place(node);
      context.strokeStyle = colours.back;
      context.lineWidth = 3.5;
      context.strokeText(node.name, x, y + this.radius + 4);
      context.fillStyle = node.kind === "closed" ? colours.text2 : colours.text;
      context.fillText(node.name, x, y + this.radius + 4);
    }
  }
}
