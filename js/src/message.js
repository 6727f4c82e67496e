// One message, level by level: its bytes coloured by field, and the fields as a list that keys can walk.
import { chip, h, LAYERS, plural, specLink } from "./dom.js";

const LONG = 72; // bytes of one field; of a longer one only the head is shown at first
const HEAD = 32;
const SHOWN = 512; // bytes of one level; the rest is counted

// Where the bytes of the outermost level are found.
const PLACES = {
  transport: "as sent",
  negotiation: "as sent",
  security: "as sent",
  muxer: "inside the secure channel",
  identity: "as written in addresses and messages",
  address: "as written in messages",
};

/**
 * Draws a message that the kernel took apart.
 *
 * @param message {title, layer, size, hex, fields, note}
 * @param explain called with the field under the pointer or the focus: (field, level) or (null)
 */
export function drawMessage(message, explain) {
  const levels = [];
  collect({ how: "", ...message }, levels, 0);
  return levels.map((level) => drawLevel(level, explain));
}

// Every opened level below a message, outermost first.
function collect(level, levels, depth) {
  levels.push({ ...level, depth });
  const walk = (fields) => {
    for (const field of fields) {
      walk(field.parts ?? []);
      if (field.inside) {
        const layer = field.inside.layer || level.layer;
        collect({ ...field.inside, layer, title: field.name }, levels, depth + 1);
      }
    }
  };
  walk(level.fields);
}

function drawLevel(level, explain) {
  const layer = LAYERS[level.layer] ?? "stream";
  const box = h("section", { class: "lab-level", "data-layer": layer });
  box.style.marginLeft = `${Math.min(level.depth, 4) * 14}px`;
  const what =
    level.depth === 0
      ? (PLACES[level.layer] ?? "bytes of a stream")
      : `${level.title}, ${level.how}`;
  box.append(
    h(
      "h4",
      {},
      chip(level.layer || "stream"),
      what,
      h("span", { class: "lab-quiet" }, plural(level.size, "byte")),
    ),
  );
  const rows = [];
  const runs = [];
  if (level.size) box.append(drawHex(level, layer, runs));
  box.append(drawFields(level, layer, rows));
  const light = (field) => {
    for (const { of, element } of [...runs, ...rows]) {
      const isOn = field !== null && of.start >= field.start && of.end <= field.end;
      element.classList.toggle("lab-on", isOn && (of === field || of.end > of.start));
    }
    explain(field, level);
  };
  for (const { of, element } of [...runs, ...rows]) {
    element.addEventListener("pointerenter", () => light(of));
    element.addEventListener("focus", () => light(of));
    element.addEventListener("click", () => light(of));
  }
  rows.forEach(({ element }, at) => {
    element.tabIndex = at === 0 ? 0 : -1;
    element.addEventListener("keydown", (event) => {
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
      if (to === undefined || !rows[to]) return;
      event.preventDefault();
      event.stopPropagation();
      element.tabIndex = -1;
      rows[to].element.tabIndex = 0;
      rows[to].element.focus();
    });
  });
  return box;
}

/** The finest fields of a level, in order. */
export function leaves(fields, layer = "") {
  return fields.flatMap((field) => {
    const own = field.layer || layer;
    return field.parts ? leaves(field.parts, own) : [{ field, layer: own }];
  });
}

function fillRun(run, hex, start, end) {
  for (let at = start; at < end; at += 1) {
    run.append(h("i", {}, hex.slice(2 * at, 2 * at + 2)));
    run.append("\u200b"); // a long field may break between any two bytes
  }
}

function drawHex(level, layer, runs) {
  const box = h("div", { class: "lab-hex lab-flow", "aria-hidden": "true" });
  const limit = Math.min(level.hex.length / 2, SHOWN);
  for (const { field, layer: own } of leaves(level.fields)) {
    if (field.start >= limit || field.end === field.start) continue;
    const run = h("span", {
      class: field.inside ? "lab-run lab-dim" : "lab-run",
      "data-layer": LAYERS[own] ?? layer,
    });
    const end = Math.min(field.end, limit);
    const isLong = end - field.start > LONG;
    fillRun(run, level.hex, field.start, isLong ? field.start + HEAD : end);
    if (isLong) {
      const rest = end - field.start - HEAD;
      const more = h(
        "button",
        { type: "button", class: "lab-more", tabindex: -1, title: "show them" },
        `+ ${plural(rest, "byte")}`,
      );
      more.addEventListener("click", () => {
        more.remove();
        fillRun(run, level.hex, field.start + HEAD, end);
      });
      run.append(more);
    }
    run.classList.toggle("lab-odd", runs.length % 2 === 1);
    runs.push({ of: field, element: run });
    box.append(run);
  }
  if (level.size > limit)
    box.append(h("span", { class: "lab-quiet" }, ` … ${plural(level.size - limit, "more byte")}`));
  return box;
}

function drawFields(level, layer, rows) {
  const body = h("tbody");
  const walk = (fields, depth, around) => {
    for (const field of fields) {
      const own = field.layer || around;
      const name = h("td", {}, field.name);
      name.style.paddingLeft = `${8 + depth * 16}px`;
      const length = field.end - field.start;
      const place =
        length === 0 ? "" : length === 1 ? `${field.start}` : `${field.start}–${field.end - 1}`;
      const row = h(
        "tr",
        { "data-layer": LAYERS[own] ?? layer },
        name,
        h("td", { class: "lab-num lab-quiet" }, place),
        h("td", { class: "lab-value" }, field.value ?? ""),
      );
      rows.push({ of: field, element: row });
      body.append(row);
      if (field.parts) walk(field.parts, depth + 1, own);
    }
  };
  walk(level.fields, 0, level.layer);
  return h(
    "table",
    { class: "lab-fields", "aria-label": `fields, ${level.depth === 0 ? "as sent" : level.how}` },
    h(
      "colgroup",
      {},
      h("col", { style: "width: 34%" }),
      h("col", { style: "width: 76px" }),
      h("col"),
    ),
    body,
  );
}

/** The line below: what the field in question means, and where the spec says so. */
export function drawExplanation(box, field) {
  if (field === null) {
    box.replaceChildren(
      h(
        "span",
        { class: "lab-quiet" },
        "Point at a field, or step through the fields with the arrow keys, to see what it means.",
      ),
    );
    return;
  }
  const parts = [h("b", {}, field.name), field.value ? ` = ${field.value}` : ""];
  if (field.meaning) parts.push(h("div", {}, field.meaning));
  if (field.spec) parts.push(h("div", {}, "Spec: ", specLink(field.spec)));
  box.replaceChildren(...parts);
}
