// One stream's track: every column is one frame of the connection, in the order of the wire.

export const MAX_BLOCKS = 90; // columns
const NS = "http://www.w3.org/2000/svg";
const STEP = 6; // units of one column
const HEIGHT = 36;

/**
 * Draws the frames of one lane.
 *
 * @param box where
 * @param blocks of the whole connection: [number, time, way, lane, kind, flags, size, left]
 * @param lane whose frames are drawn
 * @param opened the number of the block that is looked at, or -1
 */
export function drawTrack(box, blocks, lane, opened) {
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", `0 0 ${MAX_BLOCKS * STEP} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  add(svg, "line", { x1: 0, x2: MAX_BLOCKS * STEP, y1: HEIGHT / 2, y2: HEIGHT / 2, class: "lab-axis" });
  const offset = Math.max(0, MAX_BLOCKS - blocks.length);
  blocks.forEach((block, at) => {
    if (block[3] !== lane.id) return;
    drawBlock(svg, block, (at + (blocks.length < MAX_BLOCKS ? 0 : offset)) * STEP, block[0] === opened);
  });
  box.replaceChildren(svg);
}

function drawBlock(svg, [number, time, way, , kind, flags, size, left], x, isOpened) {
  // From a header alone to the longest frame: by the logarithm, or most would not be seen.
  const share = kind === "data" ? Math.log2(1 + size) / 17 : 0;
  const height = 5 + Math.round(12 * Math.min(1, share));
  const y = way === 0 ? HEIGHT / 2 - height : HEIGHT / 2;
  const shape = add(svg, "rect", { x: x + 0.5, y, width: STEP - 1, height, class: "lab-block" });
  shape.dataset.block = number;
  shape.dataset.kind = kind;
  if (flags.includes("RST")) shape.dataset.flag = "RST";
  else if (flags.includes("FIN")) shape.dataset.flag = "FIN";
  else if (flags.includes("SYN")) shape.dataset.flag = "SYN";
  if (isOpened) shape.classList.add("lab-open");
  const room = left === null ? "" : `, ${left.toLocaleString("en")} left of the window`;
  const what = kind === "window" ? (size ? `+${size.toLocaleString("en")}` : "") : size.toLocaleString("en");
  const title = add(shape, "title", {});
  title.textContent = `${kind} ${flags} ${what}${room}; ${(time * 1000).toFixed(1)} ms`.replace(/ +/g, " ");
}

function add(parent, tag, attributes) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}
