// CheckPanel: progress by learning objective, the exercises, their hints; all of it as CSV.
import { connect, download, h, plural, root } from "./dom.js";

function render({ model, el }) {
  const page = root(el, "Progress");
  const status = h("span", { class: "lab-quiet lab-num", role: "status" });
  const objectives = h("tbody");
  const exercises = h("tbody");
  const rows = new Map(); // check id → the parts of its row that change
  let chosen = ""; // the objective whose exercises are shown; "" for all
  let told = null;

  const head = (...names) =>
    h("thead", {}, h("tr", {}, ...names.map((name) => h("th", { scope: "col" }, name))));
  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h(
        "div",
        { class: "lab-bar" },
        h("h3", { class: "lab-title" }, "Progress"),
        status,
        h("span", { class: "lab-grow" }),
        h(
          "button",
          { type: "button", "data-export": "csv", onclick: () => link.send({ type: "export" }) },
          "Save CSV",
        ),
      ),
      h(
        "div",
        { class: "lab-checks" },
        h(
          "table",
          { "aria-label": "By learning objective" },
          head("objective", "points", "checks", "questions", "hints"),
          objectives,
        ),
        h(
          "table",
          { "aria-label": "Exercises" },
          head("exercise", "level", "points", "tries", "state", "hints used"),
          exercises,
        ),
      ),
    ),
  );

  const link = connect(model, (message, buffers) => {
    if (message.type === "progress") {
      told = message;
      draw();
    } else if (message.type === "file") download(message.name, buffers[0]);
    else if (message.type === "problem") status.textContent = message.text;
  });

  function draw() {
    const done = told.checks.filter((check) => check.passed).length;
    const points = told.checks.reduce((sum, check) => sum + check.points, 0);
    const of = told.checks.reduce((sum, check) => sum + check.of, 0);
    status.textContent = `${done} of ${plural(told.checks.length, "exercise")} solved, ${points} of ${of} points`;
    drawObjectives();
    drawExercises();
  }

  function drawObjectives() {
    // The button that has the focus stays: a batch must not take it from the keyboard.
    const known = new Map([...objectives.children].map((row) => [row.dataset.objective, row]));
    for (const [name, passed, checks, points, of, right, questions, hints] of told.objectives) {
      let row = known.get(name);
      if (!row) {
        const button = h("button", { type: "button", onclick: () => choose(name) }, name);
        row = h("tr", { "data-objective": name }, h("th", { scope: "row" }, button));
        for (let at = 0; at < 4; at += 1) row.append(h("td", { class: "lab-num" }));
        objectives.append(row);
      }
      row.querySelector("button").setAttribute("aria-pressed", String(name === chosen));
      const cells = row.querySelectorAll("td");
      cells[0].replaceChildren(bar(points, of), `${points} of ${of}`);
      cells[1].textContent = `${passed} of ${checks}`;
      cells[2].textContent = `${right} of ${questions}`;
      cells[3].textContent = `${hints}`;
    }
  }

  function bar(points, of) {
    const share = of ? (100 * points) / of : 0;
    const fill = h("span", { style: `width: ${share}%` });
    return h("span", { class: "lab-share", "aria-hidden": "true" }, fill);
  }

  function choose(name) {
    chosen = chosen === name ? "" : name;
    draw();
  }

  function drawExercises() {
    for (const check of told.checks) {
      if (!rows.has(check.id)) rows.set(check.id, makeRow(check));
      const { row, cells, button, hint } = rows.get(check.id);
      row.hidden = Boolean(chosen) && !check.objectives.includes(chosen);
      const texts = [`${check.points} of ${check.of}`, `${check.tries}`, ...stateOf(check)];
      cells.points.textContent = texts[0];
      cells.tries.textContent = texts[1];
      cells.state.textContent = texts[2];
      cells.state.className = texts[3];
      cells.used.textContent = `${check.hints} of ${check.steps}`;
      button.textContent = check.hints < check.steps ? "Next hint" : "Last hint";
      const text = told.hints[check.id] ?? "";
      if (hint.textContent !== text) hint.textContent = text;
      hint.parentElement.parentElement.hidden = row.hidden || !text;
    }
  }

  function stateOf(check) {
    if (check.passed) {
      const isBest = check.points === check.of;
      return [isBest ? "✓ solved" : "✓ solved, not the best", "lab-good"];
    }
    return check.tries ? ["✗ not yet", "lab-bad"] : ["not tried", "lab-quiet"];
  }

  function makeRow(check) {
    const cells = Object.fromEntries(
      ["points", "tries", "state", "used"].map((name) => [
        name,
        h(name === "state" || name === "used" ? "span" : "td", { class: "lab-num" }),
      ]),
    );
    const button = h("button", {
      type: "button",
      "aria-label": `hint for ${check.exercise}`,
      onclick: () => link.send({ type: "hint", check: check.id }),
    });
    const row = h(
      "tr",
      { "data-check": check.id },
      h(
        "th",
        { scope: "row" },
        `${check.exercise} ${check.title}`,
        h("div", { class: "lab-quiet" }, `${check.id}; ${check.objectives.join(", ")}`),
      ),
      h("td", {}, check.level),
      cells.points,
      cells.tries,
      h("td", {}, cells.state),
      h("td", {}, cells.used, " ", button),
    );
    const hint = h("td", { colspan: 6, "aria-live": "polite" });
    exercises.append(row, h("tr", { class: "lab-hint", hidden: true }, hint));
    return { row, cells, button, hint: wrap(hint) };
  }

  // The text stands in an element of its own, two levels below its row.
  function wrap(cell) {
    const text = h("div");
    cell.append(text);
    return text;
  }

  return () => link.close();
}

export default { render };
