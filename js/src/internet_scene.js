// The drawing of an internet: where its machines stand, and the packets on their way. It knows no kernel.
import { colour, onTheme } from "./dom.js";

const LAG = 0.15; // real seconds: what is drawn is that much behind, so that a packet is seen from its start
const AHEAD = 0.25; // real seconds that the clock may run on without word from the kernel
const GLOW = 900; // ms that a link stays bright after a packet
const MAX_FLIGHTS = 6000;
const REDRAW = 200; // ms between two drawings of what stands still
const LABELS = 60;
const GOLDEN = Math.PI * (3 - Math.sqrt(5));
const COLOURS = { data: 0, ack: 7, syn: 3, synack: 3, fin: 6, rst: 6, datagram: 4 };

export class InternetScene {
  constructor(stage) {
    this.stage = stage;
    this.canvas = stage.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
    this.still = document.createElement("canvas"); // what does not move, drawn once
    this.places = []; // by index
    this.byName = new Map();
    this.regions = []; // name, latitude, longitude
    this.kinds = [];
    this.links = new Map(); // pairs that exchanged packets: key → {a, b, at, kind}
    this.flights = [];
    this.crosses = []; // where a packet ended: {place, at}
    this.cuts = [];
    this.clock = { now: 0, speed: 0, at: 0 };
    this.focused = -1;
    this.hovered = -1;
    this.selected = -1;
    this.size = { width: 0, height: 0 };
    this.stats = { frames: 0, updates: 0, slowest: 0, flights: 0 };
    this.isCalm = matchMedia("(prefers-reduced-motion: reduce)");
    this.frame = 0;
    this.stale = true;
    this.drawnAt = 0;
    this.moved = true; // the layout is to be made anew
    this.colours = {};
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
      bad: pick("--lab-bad"),
      machine: pick("--lab-identity"),
      box: pick("--lab-negotiation"),
      frozen: pick("--lab-transport"),
      font: getComputedStyle(this.stage).fontFamily,
      kinds: this.kinds.map((kind) => pick(`--lab-p${COLOURS[kind] ?? 0}`)),
    };
    this.changed();
  }

  // -- what there is --------------------------------------------------------------------------

  /** Another internet, or another moment of it: nothing that was drawn counts any more. */
  forget() {
    this.places = [];
    this.byName.clear();
    this.links.clear();
    this.flights = [];
    this.crosses = [];
    this.cuts = [];
    this.moved = true;
    this.changed();
  }

  setPlaces(places) {
    for (const place of places) {
      const known = this.places[place.index];
      if (known) {
        if (known.region !== place.region || known.box !== place.box) this.moved = true;
        Object.assign(known, place);
      } else {
        this.places[place.index] = { x: 0, y: 0, ...place };
        this.byName.set(place.name, this.places[place.index]);
        this.moved = true;
      }
    }
    if (places.length) this.changed();
  }

  setCuts(cuts) {
    this.cuts = cuts.map((cut) => ({ ...cut, a: new Set(cut.a), b: new Set(cut.b) }));
    this.changed();
  }

  changed() {
    this.stale = true;
    this.drawnAt = 0;
    this.wake();
  }

  // A machine is on a side that names it, its region, or a box around it.
  isOn(place, side) {
    for (let one = place; one; one = this.byName.get(one.box))
      if (side.has(one.name)) return true;
    return place.kind === "machine" && side.has(place.region);
  }

  isCut(a, b) {
    return this.cuts.some((cut) => {
      const [inA, alsoInA] = [this.isOn(a, cut.a), this.isOn(b, cut.a)];
      if (!cut.b.size) return inA !== alsoInA;
      return (inA && this.isOn(b, cut.b)) || (alsoInA && this.isOn(a, cut.b));
    });
  }

  /** Six doubles a packet: source, target, kind, the moments of leaving and of arriving, bytes. */
  fly(rows) {
    this.stats.updates += 1;
    const real = performance.now();
    for (let at = 0; at + 5 < rows.length; at += 6) {
      const [a, b] = [this.places[rows[at]], this.places[rows[at + 1]]];
      if (!a || !b || a === b) continue;
      const key = a.index < b.index ? a.index * 1e6 + b.index : b.index * 1e6 + a.index;
      let link = this.links.get(key);
      if (!link) {
        link = { a, b, at: 0, kind: 0 };
        this.links.set(key, link);
        this.stale = true;
      }
      link.at = real;
      link.kind = rows[at + 2];
      const flight = { a, b, kind: rows[at + 2], from: rows[at + 3], to: rows[at + 4] };
      flight.radius = Math.min(2 + Math.log2(1 + rows[at + 5]) * 0.25, 5);
      this.flights.push(flight);
      this.stats.flights += 1;
    }
    if (this.flights.length > MAX_FLIGHTS) this.flights.splice(0, this.flights.length - MAX_FLIGHTS);
    this.wake();
  }

  cross(index) {
    if (this.places[index]) this.crosses.push({ place: this.places[index], at: performance.now() });
  }

  setClock(now, speed) {
    this.clock = { now, speed, at: performance.now() };
    this.wake();
  }

  /** The virtual time that is drawn. */
  time() {
    const { now, speed, at } = this.clock;
    if (speed <= 0) return now;
    return now + (Math.min((performance.now() - at) / 1000, AHEAD) - LAG) * speed;
  }

  // -- where it stands ------------------------------------------------------------------------

  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    this.ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.size = { width, height };
    for (const canvas of [this.canvas, this.still]) {
      canvas.width = width * this.ratio;
      canvas.height = height * this.ratio;
    }
    this.moved = true;
    this.readColours(); // not before: the stage has no style until it stands on the page
  }

  // Each region is a sunflower of its machines; those behind a box stand around it.
  layOut() {
    this.moved = false;
    const { width, height } = this.size;
    const inside = new Map(); // box → those directly behind it
    for (const place of this.places) {
      if (!this.byName.has(place.box)) continue;
      if (!inside.has(place.box)) inside.set(place.box, []);
      inside.get(place.box).push(place);
    }
    const groups = new Map(this.regions.map(([name]) => [name, []]));
    for (const place of this.places)
      if (!this.byName.has(place.box)) (groups.get(place.region) ?? []).push(place);
    const room = (place) => {
      const behind = inside.get(place.name) ?? [];
      return behind.length ? 2 + behind.reduce((sum, one) => sum + 1.6 * room(one), 0) : 1;
    };
    const used = this.regions.filter(([name]) => groups.get(name).length);
    this.spots = spread(used, width, height);
    const slots = this.spots.map((spot) =>
      groups.get(spot.name).reduce((sum, one) => sum + room(one), 0),
    );
    this.spacing = spacing(this.spots, slots, width, height);
    this.radius = Math.max(1.7, Math.min(9, this.spacing * 0.36));
    this.spots.forEach((spot, number) => {
      spot.reach = this.spacing * Math.sqrt(slots[number]) + this.radius + 3;
      let slot = 0;
      for (const place of groups.get(spot.name)) {
        const size = room(place);
        const middle = slot + size / 2;
        const far = slots[number] === size ? 0 : this.spacing * Math.sqrt(middle);
        const angle = GOLDEN * middle;
        this.put(place, spot.x + far * Math.cos(angle), spot.y + far * Math.sin(angle), inside);
        slot += size;
      }
    });
  }

  put(place, x, y, inside) {
    place.x = x;
    place.y = y;
    const behind = inside.get(place.name) ?? [];
    const reach = Math.max(
      this.places.length <= LABELS ? 46 : this.radius * 2.6, // labels need room
      Math.min(this.spacing * 0.9, 60) * Math.sqrt(behind.length / 3 + 0.5),
    );
    behind.forEach((one, number) => {
      const angle = (2 * Math.PI * (number + 0.5)) / behind.length - Math.PI / 2;
      this.put(one, x + reach * Math.cos(angle), y + reach * Math.sin(angle), inside);
    });
  }

  /** The place at a point, or null. */
  at(x, y) {
    let best = null;
    let least = Math.max(this.radius + 5, 10);
    for (const place of this.places) {
      const distance = Math.hypot(place.x - x, place.y - y);
      if (distance < least) [best, least] = [place, distance];
    }
    return best;
  }

  /** The next place from `place` in a direction. */
  next(place, [dx, dy]) {
    let best = null;
    let least = Infinity;
    for (const other of this.places) {
      const along = (other.x - place.x) * dx + (other.y - place.y) * dy;
      const aside = Math.abs((other.x - place.x) * dy) + Math.abs((other.y - place.y) * dx);
      if (other !== place && along > 1 && along + 2 * aside < least)
        [best, least] = [other, along + 2 * aside];
    }
    return best;
  }

  // -- the picture ----------------------------------------------------------------------------

  wake() {
    if (this.frame === 0) this.frame = requestAnimationFrame((now) => this.step(now));
  }

  step(now) {
    if (this.frame === -1) return;
    this.frame = 0;
    if (!this.size.width) return;
    const begun = performance.now();
    if (this.moved) this.layOut();
    if (this.stale && now - this.drawnAt > REDRAW) {
      this.drawStill();
      this.stale = false;
      this.drawnAt = now;
    }
    const time = this.time();
    this.flights = this.flights.filter((flight) => flight.to > time);
    this.crosses = this.crosses.filter((cross) => begun - cross.at < GLOW);
    const isGlowing = this.draw(begun, time);
    this.stats.frames += 1;
    this.stats.slowest = Math.max(this.stats.slowest, performance.now() - begun);
    const isRunning = this.clock.speed > 0 && performance.now() - this.clock.at < 1000 * AHEAD;
    if (isGlowing || isRunning || this.stale || this.crosses.length) this.wake();
  }

  drawStill() {
    const context = this.still.getContext("2d");
    const { colours, size } = this;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    for (const spot of this.spots) {
      circle(context, spot.x, spot.y, spot.reach);
      context.fillStyle = colours.back2;
      context.fill();
    }
    this.drawLinks(context);
    for (const place of this.places) this.drawPlace(context, place);
    context.textAlign = "center";
    context.textBaseline = "bottom";
    for (const spot of this.spots)
      this.write(context, spot.name, spot.x, Math.max(spot.y - spot.reach - 2, 16), colours.text2);
    context.textBaseline = "top";
    if (this.places.length <= LABELS)
      for (const place of this.places)
        this.write(context, place.name, place.x, place.y + this.radius + 3, colours.text);
  }

  drawLinks(context) {
    const { colours } = this;
    context.strokeStyle = colours.line;
    context.globalAlpha = this.links.size > 400 ? 0.25 : 0.9;
    context.lineWidth = this.links.size > 400 ? 0.7 : 1.2;
    const cut = [];
    context.beginPath();
    for (const link of this.links.values()) {
      if (this.cuts.length && this.isCut(link.a, link.b)) cut.push(link);
      else line(context, link.a, link.b);
    }
    context.stroke();
    context.globalAlpha = 0.9;
    context.strokeStyle = colours.bad;
    context.setLineDash([3, 5]);
    context.beginPath();
    for (const link of cut) line(context, link.a, link.b);
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  drawPlace(context, place) {
    const { colours, radius } = this;
    const { x, y, state } = place;
    if (place.kind === "box") {
      context.fillStyle = colours.box;
      context.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
      return;
    }
    circle(context, x, y, radius);
    context.fillStyle =
      state === "up" ? colours.machine : state === "frozen" ? colours.frozen : colours.back;
    context.fill();
    if (state === "up") return;
    context.strokeStyle = state === "frozen" ? colours.text : colours.bad;
    context.lineWidth = Math.max(1, radius * 0.22);
    context.stroke();
    const arm = radius * 0.5;
    context.beginPath();
    if (state === "crashed") line(context, { x: x - arm, y: y - arm }, { x: x + arm, y: y + arm });
    if (state === "crashed") line(context, { x: x + arm, y: y - arm }, { x: x - arm, y: y + arm });
    context.stroke();
  }

  // What moves, over what stands. Returns whether a link still glows.
  draw(real, time) {
    const { context, colours, size } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.still, 0, 0);
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    let isGlowing = false;
    context.lineWidth = this.isCalm.matches ? 4 : 2;
    for (const link of this.links.values()) {
      const age = (real - link.at) / GLOW;
      if (age >= 1) continue;
      isGlowing = true;
      context.globalAlpha = 0.4 * (1 - age);
      context.strokeStyle = colours.kinds[link.kind];
      context.beginPath();
      line(context, link.a, link.b);
      context.stroke();
    }
    context.globalAlpha = 1;
    if (!this.isCalm.matches || this.clock.speed === 0) this.drawFlights(context, time);
    context.strokeStyle = colours.bad;
    context.lineWidth = 2;
    context.beginPath();
    for (const { place } of this.crosses) {
      const arm = this.radius + 3;
      const [left, right] = [place.x - arm, place.x + arm];
      line(context, { x: left, y: place.y - arm }, { x: right, y: place.y + arm });
      line(context, { x: left, y: place.y + arm }, { x: right, y: place.y - arm });
    }
    context.stroke();
    this.mark(this.selected, colours.brand, 3);
    this.mark(this.focused, colours.text, 1.5);
    for (const index of new Set([this.focused, this.hovered, this.selected])) {
      const place = this.places[index];
      if (place && this.places.length > LABELS) {
        context.textAlign = place.x > size.width - 60 ? "right" : place.x < 60 ? "left" : "center";
        context.textBaseline = "top";
        this.write(context, place.name, place.x, place.y + this.radius + 3, colours.text);
      }
    }
    return isGlowing;
  }

  drawFlights(context, time) {
    for (const { a, b, kind, from, to, radius } of this.flights) {
      if (from > time) continue;
      const share = (time - from) / Math.max(to - from, 1e-9);
      circle(context, a.x + (b.x - a.x) * share, a.y + (b.y - a.y) * share, radius);
      context.fillStyle = this.colours.kinds[kind];
      context.fill();
    }
  }

  mark(index, tint, width) {
    const place = this.places[index];
    if (!place) return;
    circle(this.context, place.x, place.y, this.radius + 4);
    this.context.strokeStyle = tint;
    this.context.lineWidth = width;
    this.context.stroke();
  }

  write(context, text, x, y, tint) {
    context.font = `12px ${this.colours.font}`;
    context.lineJoin = "round";
    context.strokeStyle = this.colours.back;
    context.lineWidth = 3.5;
    context.strokeText(text, x, y);
    context.fillStyle = tint;
    context.fillText(text, x, y);
  }
}

function circle(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
}

function line(context, a, b) {
  context.moveTo(a.x, a.y);
  context.lineTo(b.x, b.y);
}

// Where the regions' middles are: by latitude and longitude; in a ring if these say nothing.
function spread(regions, width, height) {
  const wide = Math.max(...regions.map((one) => one[2])) - Math.min(...regions.map((one) => one[2]));
  const [left, right] = [0.13 * width, 0.87 * width];
  const [top, bottom] = [0.17 * height, 0.83 * height];
  return regions.map(([name, latitude, longitude], number) => {
    if (regions.length === 1) return { name, x: width / 2, y: height / 2 };
    if (wide < 1) {
      const angle = (2 * Math.PI * number) / regions.length - Math.PI;
      const [x, y] = [Math.cos(angle), Math.sin(angle)];
      return { name, x: width / 2 + 0.3 * width * x, y: height / 2 + 0.28 * height * y };
    }
    const lowest = Math.min(...regions.map((one) => one[2]));
    const south = Math.min(...regions.map((one) => one[1]));
    const high = Math.max(...regions.map((one) => one[1])) - south;
    return {
      name,
      x: left + ((longitude - lowest) / wide) * (right - left),
      y: high < 1 ? height / 2 : bottom - ((latitude - south) / high) * (bottom - top),
    };
  });
}

// The distance between machines with which no region touches another, nor the edge.
function spacing(spots, slots, width, height) {
  let most = 30;
  spots.forEach((one, a) => {
    const edge = Math.min(one.x, width - one.x, one.y - 18, height - one.y) - 14;
    most = Math.min(most, edge / Math.sqrt(slots[a] || 1));
    spots.slice(a + 1).forEach((other, b) => {
      const roots = Math.sqrt(slots[a] || 1) + Math.sqrt(slots[a + 1 + b] || 1);
      most = Math.min(most, (Math.hypot(one.x - other.x, one.y - other.y) - 24) / roots);
    });
  });
  return Math.max(most, 2.6);
}
