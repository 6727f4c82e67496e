// The drawing of a space-time diagram, in SVG.
const NS = "http://www.w3.org/2000/svg";
const HEAD = 30;
const FOOT = 18;
const GAP = 19; // pixels between two moments at least, where it is to be read
const LONGEST = 76; // and at most
const HEIGHT = 460; // of the whole span
const LEFT = 74; // for the times
const MAX_GROUPS = 250;

/** The arrows of one level; those that leave and arrive together are drawn as one. */
export function groupsOf(panel, level) {
  const found = new Map();
  for (const arrow of panel.arrows) {
    const [, own, sender, receiver, sent, received] = arrow;
    if (own !== level) continue;
    const key = `${sender} ${receiver} ${sent} ${received}`;
    if (!found.has(key)) {
      if (found.size >= MAX_GROUPS) break;
      found.set(key, { sender, receiver, sent, received, arrows: [] });
    }
    found.get(key).arrows.push(arrow);
  }
  return [...found.values()];
}

/** Where each moment is drawn: true to time, or never too close to be read. */
export function placesOf(groups, span, isTrue) {
  const times = [...new Set(groups.flatMap((one) => [one.sent ?? one.received, one.received]))].filter((time) => time !== null);
  times.sort((a, b) => a - b);
  const places = new Map();
  let y = HEAD + 16;
  let before = 0;
  for (const time of times) {
    const true_ = span ? (time / span) * HEIGHT : 0;
    if (isTrue) y = HEAD + 16 + true_;
    else if (places.size) y += Math.min(LONGEST, Math.max(GAP, ((time - before) / (span || 1)) * HEIGHT));
    places.set(time, y);
    before = time;
  }
  return places;
}

/** One diagram. `how` says how wide it is, what is chosen, until when it goes, and what to call on a click or a key. */
export function drawDiagram(panel, groups, places, how) {
  const lanes = [...new Set(groups.flatMap((one) => [one.sender, one.receiver]))].sort((a, b) => a - b);
  const width = Math.min(900, Math.max(340, how.width));
  const margin = width < 560 ? 26 : 60;
  const step = lanes.length > 1 ? (width - LEFT - 2 * margin) / (lanes.length - 1) : 0;
  const columns = new Map(lanes.map((lane, at) => [lane, LEFT + margin + at * step]));
  const own = groups.flatMap((one) => [one.sent, one.received]).map((time) => places.get(time) ?? 0);
  const bottom = Math.max(HEAD + 30, ...own) + FOOT;
  const svg = add(null, "svg", {
    viewBox: `0 0 ${width} ${bottom + 8}`,
    role: "group",
    "aria-label": `${panel.title || "Diagram"}: ${lanes.length} peers, ${groups.length} arrows. Arrow keys walk, Enter opens.`,
  });
  for (const lane of lanes) {
    const x = columns.get(lane);
    add(svg, "line", { x1: x, x2: x, y1: HEAD, y2: bottom, class: "lab-world" });
    add(svg, "text", { x, y: 18, "text-anchor": "middle", class: "lab-peer" }).textContent = panel.lanes[lane];
  }
  drawTimes(svg, new Map([...places].filter(([, y]) => y < bottom)), how.until, width);
  const shown = { y: [] };
  groups.forEach((group, at) => drawGroup(svg, group, at, columns, places, how, shown));
  svg.addEventListener("keydown", how.key);
  return svg;
}

function drawTimes(svg, places, until, width) {
  let last = -Infinity;
  let line = null;
  for (const [time, y] of places) {
    if (time <= until) line = y;
    if (y - last < 15) continue;
    last = y;
    add(svg, "text", { x: 4, y: y + 4, class: "lab-when" }).textContent = `${(time * 1000).toFixed(1)} ms`;
    add(svg, "line", { x1: LEFT - 6, x2: width - 20, y1: y, y2: y, class: "lab-tick" });
  }
  const isShown = line !== null && until <= Math.max(...places.keys());
  if (until !== Infinity && isShown)
    add(svg, "line", { x1: LEFT - 6, x2: width - 20, y1: between(places, until), y2: between(places, until), class: "lab-now" });
}

// Where a moment lies that may be between two others.
function between(places, time) {
  let before = null;
  for (const [at, y] of places) {
    if (at >= time) {
      if (!before) return y;
      const share = at === before[0] ? 1 : (time - before[0]) / (at - before[0]);
      return before[1] + share * (y - before[1]);
    }
    before = [at, y];
  }
  return before ? before[1] : HEAD;
}

function drawGroup(svg, group, at, columns, places, how, shown) {
  const begin = group.sent ?? group.received;
  const isLater = begin > how.until;
  const [x1, to] = [columns.get(group.sender), columns.get(group.receiver)];
  const y1 = places.get(begin);
  const isSeen = group.received !== null;
  let [x2, y2] = isSeen ? [to, places.get(group.received)] : [x1 + (to - x1) * 0.6, y1 + GAP];
  const isFlying = isSeen && !isLater && group.received > how.until && group.received > begin;
  const first = group.arrows.find((arrow) => arrow[7]) ?? group.arrows[group.arrows.length - 1];
  const box = add(svg, "g", {
    class: isLater ? "lab-arrow-of lab-later" : "lab-arrow-of",
    tabindex: at === Math.max(0, how.focused) ? 0 : -1,
    role: "button",
    "data-at": at,
    "aria-label": spoken(group),
  });
  box.style.setProperty("--layer", how.tint(first));
  if (group.arrows.some((arrow) => arrow[0] === how.opened)) box.classList.add("lab-open");
  const far = [x2, y2];
  if (isFlying) {
    const share = (how.until - begin) / (group.received - begin);
    [x2, y2] = [x1 + (x2 - x1) * share, y1 + (y2 - y1) * share];
  }
  add(box, "path", { d: `M${x1} ${y1}L${far[0]} ${far[1]}`, class: "lab-hit" });
  add(box, "path", { d: `M${x1} ${y1}L${x2} ${y2}`, class: isSeen ? "lab-shaft" : "lab-shaft lab-lost" });
  const way = Math.sign(far[0] - x1) || 1;
  if (isFlying) add(box, "circle", { cx: x2, cy: y2, r: 4, class: "lab-head" });
  else if (isSeen) add(box, "path", { d: `M${x2} ${y2}l${-9 * way} -4.5v9z`, class: "lab-head" });
  else add(box, "path", { d: `M${x2 - 4} ${y2 - 4}l8 8m-8 0l8 -8`, class: "lab-shaft" });
  const middle = [(x1 + far[0]) / 2, (y1 + far[1]) / 2];
  if (!shown.y.some((y) => Math.abs(y - middle[1]) < 12)) {
    shown.y.push(middle[1]);
    const slope = (Math.atan((far[1] - y1) / (far[0] - x1)) * 180) / Math.PI;
    const label = add(box, "text", {
      transform: `translate(${middle[0]} ${middle[1]}) rotate(${slope.toFixed(2)}) translate(0 -5)`,
      "text-anchor": "middle",
      class: "lab-what",
    });
    const length = Math.hypot(far[0] - x1, far[1] - y1);
    label.textContent = titleOf(group, Math.max(12, Math.floor(length / 6.2) - 8));
  }
  add(box, "title", {}).textContent = spoken(group);
  box.addEventListener("click", () => how.choose(at));
  box.addEventListener("focus", () => how.focus(at));
}

// The line with which every negotiation begins says least, and is left out where others are.
function titleOf(group, most) {
  const telling = group.arrows.filter((arrow) => arrow[8] !== "/multistream/1.0.0");
  const arrows = telling.length ? telling : group.arrows;
  const words = [];
  let length = 0;
  for (const arrow of arrows) {
    const text = arrow[8];
    if (length + text.length > most && words.length) break;
    words.push(text);
    length += text.length + 2;
  }
  const rest = arrows.length - words.length;
  const whole = words.join(" · ");
  const text = whole.length > most ? `${whole.slice(0, most - 1)}…` : whole;
  return rest ? `${text} + ${rest} more` : text;
}

function spoken({ sent, received, arrows }) {
  const ms = (time) => `${(time * 1000).toFixed(1)} ms`;
  const what = arrows.map((arrow) => `${arrow[8]} ${arrow[7]}`.trim()).join("; ");
  const left = sent === null ? "" : `, sent at ${ms(sent)}`;
  const came = received === null ? `, ${arrows[0][11] || "not seen to arrive"}` : `, arrives at ${ms(received)}`;
  return what + left + came;
}

function add(parent, tag, attributes) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent?.append(element);
  return element;
}
