// The drawing of two homes: who stands where, and a packet on its way through the routers. It knows no kernel.
import { s } from "./dom.js";

const WIDE = 900;
const HIGH = 306;
const PLACES = {
  alice: [70, 170],
  "router of alice": [235, 170],
  relay: [450, 60],
  "public peer": [450, 238],
  "router of bob": [665, 170],
  bob: [830, 170],
};
// Where a packet rests beside a place, so that it hides no name.
const DOCKS = {
  alice: [112, 170],
  "router of alice": [280, 170],
  relay: [450, 97],
  "public peer": [450, 201],
  "router of bob": [620, 170],
  bob: [788, 170],
};
const TRAVEL = 420; // ms for the way of one step

export class NatScene {
  constructor() {
    this.lines = s("g", {});
    this.dots = s("g", {});
    this.marks = s("g", {});
    this.nodes = s("g", {});
    this.addresses = new Map();
    this.dotOf = new Map(); // by the packet's number
    this.isCalm = matchMedia("(prefers-reduced-motion: reduce)");
    this.svg = s("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", class: "lab-nat-scene" });
    this.svg.append(s("rect", { x: 235, y: 6, width: 430, height: HIGH - 12, rx: 60, class: "lab-nat-open" }));
    this.doors = s("g", {});
    for (const [a, b] of [["alice", "router of alice"], ["bob", "router of bob"], ["router of alice", "relay"], ["router of bob", "relay"], ["router of alice", "router of bob"]]) {
      const [[x1, y1], [x2, y2]] = [PLACES[a], PLACES[b]];
      this.svg.append(s("line", { x1, y1, x2, y2, class: "lab-nat-cable" }));
    }
    this.svg.append(this.doors, this.lines, this.nodes, this.dots, this.marks);
    for (const name of Object.keys(PLACES)) this.nodes.append(this.node(name));
  }

  node(name) {
    const [x, y] = PLACES[name];
    const group = s("g", { class: "lab-nat-node", "data-place": name });
    if (name === "alice" || name === "bob") {
      group.append(s("path", { d: `M${x - 30} ${y - 4} L${x} ${y - 34} L${x + 30} ${y - 4} V${y + 24} H${x - 30} Z` }));
    } else if (name.startsWith("router")) {
      group.append(s("rect", { x: x - 34, y: y - 20, width: 68, height: 40, rx: 6 }));
    } else group.append(s("circle", { cx: x, cy: y, r: 29 }));
    group.append(text(x, y + 5, name.startsWith("router") ? "router" : name === "public peer" ? "public" : name, "lab-nat-name"));
    const below = name === "relay" ? -37 : name === "public peer" ? 46 : name.startsWith("router") ? 40 : 44;
    const address = text(x, y + below, "", "lab-nat-address");
    this.addresses.set(name, address);
    group.append(address);
    return group;
  }

  /** Who has which address. */
  name(addresses) {
    for (const [place, address] of this.addresses) address.textContent = addresses[place] ?? "";
  }

  /** Who may come in: for each home, whether its router lets in what the other's router would send now. */
  open({ alice, bob }) {
    const [[x1, y], [x2]] = [PLACES["router of alice"], PLACES["router of bob"]];
    const middle = (x1 + x2) / 2;
    const parts = [];
    if (alice) parts.push([x1, middle]);
    if (bob) parts.push([middle, x2]);
    this.doors.replaceChildren(...parts.map(([from, to]) => s("line", { x1: from, x2: to, y1: y, y2: y, class: "lab-nat-door" })));
    const words = alice && bob ? "a hole" : alice ? "alice's router is open for bob" : bob ? "bob's router is open for alice" : "";
    this.doors.append(text(middle, y + 24, words, "lab-nat-opened"));
  }

  /** Draw a step: `step` may be null; `flying` are packets that are on their way meanwhile: {number, path, part}. */
  draw(step, flying) {
    this.lines.replaceChildren();
    this.marks.replaceChildren();
    for (const node of this.nodes.children) node.classList.toggle("lab-nat-here", step !== null && node.dataset.place === step.where);
    const shown = new Map(flying.map((one) => [one.number, { points: [along(one.path, one.part)], kind: one.kind }]));
    if (step?.number && step.path.length > 1) {
      this.lines.append(s("polyline", { points: step.path.map((place) => PLACES[place].join(",")).join(" "), class: "lab-nat-way", "data-moment": step.moment }));
      shown.set(step.number, { points: this.wayOf(step), kind: step.kind, isNow: true });
    }
    for (const [number, dot] of this.dotOf) {
      if (shown.has(number)) continue;
      dot.remove();
      this.dotOf.delete(number);
    }
    for (const [number, { points, kind, isNow }] of shown) this.move(number, points, kind, isNow === true);
    if (step?.moment === "dropped") this.cross(step);
    if (step?.moment === "says") this.bubble(step);
    const words = step?.moment === "leaves" ? step.words.match(/“[^”]*”|a punch/)?.[0] : null;
    if (words) this.caption(step, words);
  }

  /** Where the packet passes in this step, and stands at its end. */
  wayOf(step) {
    const { path, where } = step;
    const until = step.moment === "arrives" ? path.length - 1 : Math.max(0, path.indexOf(where));
    const spots = path.slice(0, until).map((place) => PLACES[place]);
    return [...spots, step.moment === "dropped" ? this.endOf(step) : DOCKS[path[until]]];
  }

  /** Where a dropped packet ends: at the side of the router from which it came. */
  endOf(step) {
    const place = PLACES[step.where] ?? PLACES[step.path[0]];
    const before = PLACES[step.path[step.path.indexOf(step.where) - 1]] ?? place;
    const far = Math.hypot(before[0] - place[0], before[1] - place[1]) || 1;
    return [place[0] + (52 * (before[0] - place[0])) / far, place[1] + (52 * (before[1] - place[1])) / far];
  }

  move(number, points, kind, isNow) {
    let dot = this.dotOf.get(number);
    const end = points.at(-1);
    const was = dot?.spot;
    if (!dot) {
      dot = s("circle", { r: 7, class: "lab-nat-dot" });
      this.dotOf.set(number, dot);
      this.dots.append(dot);
    }
    dot.dataset.kind = kind;
    dot.classList.toggle("lab-nat-now", isNow);
    const at = ([x, y]) => `translate(${x}px, ${y}px)`;
    const from = was ? [was, ...points.slice(1)] : points;
    dot.style.transform = at(end);
    if (!this.isCalm.matches && from.length > 1) dot.animate(from.map((spot) => ({ transform: at(spot) })), { duration: TRAVEL, easing: "ease-out" });
    dot.spot = end;
  }

  /** A packet ends where it would have come in. */
  cross(step) {
    const place = PLACES[step.where] ?? PLACES[step.path[0]];
    const [x, y] = this.endOf(step);
    this.marks.append(
      s("circle", { cx: x, cy: y, r: 20, class: "lab-nat-flash" }),
      s("path", { d: `M${x - 10} ${y - 10} l20 20 m0 -20 l-20 20`, class: "lab-nat-cross" }),
      text(place[0], place[1] - 34, step.reason, "lab-nat-reason"),
    );
  }

  /** What is said, beside the way that it goes. */
  caption(step, words) {
    const [[x1, y1], [x2, y2]] = [PLACES[step.path[0]], PLACES[step.path.at(-1)]];
    const x = Math.min(Math.max((x1 + x2) / 2, 60 + 3.7 * words.length), WIDE - 60 - 3.7 * words.length);
    this.marks.append(text(x, (y1 + y2) / 2 - (y1 === y2 ? 12 : 0), words, "lab-nat-caption"));
  }

  bubble(step) {
    const [x, y] = PLACES[step.where] ?? PLACES.relay;
    this.marks.append(text(x, y - 44, "…", "lab-nat-says"));
  }
}

function text(x, y, words, name) {
  return s("text", { x, y, "text-anchor": "middle", class: name }, document.createTextNode(words));
}

/** The point at a part, 0 to 1, of a way through several places. */
function along(path, part) {
  const spots = path.map((place) => PLACES[place]);
  const lengths = spots.slice(1).map(([x, y], n) => Math.hypot(x - spots[n][0], y - spots[n][1]));
  let left = part * lengths.reduce((sum, one) => sum + one, 0);
  for (let n = 0; n < lengths.length; n += 1) {
    if (left <= lengths[n]) {
      const share = lengths[n] ? left / lengths[n] : 0;
      return [spots[n][0] + share * (spots[n + 1][0] - spots[n][0]), spots[n][1] + share * (spots[n + 1][1] - spots[n][1])];
    }
    left -= lengths[n];
  }
  return spots.at(-1);
}
