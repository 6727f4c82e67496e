// The matrix of behaviour pairs: alice's down, bob's across. A cell that is chosen is run. It knows no kernel.
import { h } from "./dom.js";

const MARKS = { hole: "●", "one way": "◐", relay: "·", nothing: "×", "": "" };
const WORDS = {
  hole: "they can talk",
  "one way": "a packet of one comes through, and no talk comes of it",
  relay: "no packet comes through",
  nothing: "they do not meet at the relay",
  "": "not tried yet",
};

export class NatMatrix {
  constructor(choose) {
    this.choose = choose;
    this.at = [2, 2]; // where the keyboard is
    this.element = h("div", { class: "lab-nat-matrix" });
    this.cells = [];
  }

  draw(told, chosen) {
    if (!this.cells.length) this.build(told);
    told.levels.forEach((row, a) =>
      row.forEach((level, b) => {
        const cell = this.cells[a][b];
        const isChosen = chosen !== null && chosen[0] === a && chosen[1] === b;
        cell.textContent = MARKS[level];
        cell.dataset.level = level;
        cell.setAttribute("aria-label", `Alice ${told.words[a]}; bob ${told.words[b]}: ${WORDS[level]}`);
        cell.title = `alice ${told.names[a]}, bob ${told.names[b]}: ${WORDS[level]}`;
        cell.setAttribute("aria-pressed", String(isChosen));
      }),
    );
  }

  build(told) {
    this.cells = told.names.map((_, a) => told.names.map((_, b) => h("button", { type: "button", class: "lab-nat-cell", "data-cell": `${a},${b}`, tabindex: a === 2 && b === 2 ? 0 : -1, onclick: () => this.choose([a, b]), onfocus: () => this.focus([a, b]), onkeydown: (event) => this.key(event, a, b) })));
    const head = h("tr", {}, h("td", {}, "alice ↓ bob →"), told.names.map((name) => h("th", { scope: "col" }, name.replace("/", "/\n"))));
    const rows = told.names.map((name, a) => h("tr", {}, h("th", { scope: "row" }, name), this.cells[a].map((cell) => h("td", {}, cell))));
    this.element.replaceChildren(h("table", { "aria-label": "Alice's router down, bob's across" }, h("thead", {}, head), h("tbody", {}, rows)));
  }

  focus([a, b]) {
    this.cells[this.at[0]][this.at[1]].tabIndex = -1;
    this.at = [a, b];
    this.cells[a][b].tabIndex = 0;
  }

  key(event, a, b) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    this.cells[a + move[0]]?.[b + move[1]]?.focus();
  }
}
