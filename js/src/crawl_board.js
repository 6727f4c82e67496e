// CrawlBoard: a crawl as it goes on, what the peers run, the latest of them; and who came and left since the last time.
import { connect, h, root, s } from "./dom.js";

const KINDS = [
  ["answered", "told us whom they know"],
  ["connected", "are there, but do not serve this DHT, or did not answer"],
  ["unreached", "no address led to them"],
  ["undialed", "nobody named an address that may be dialed"],
];
const LINES = [
  ["heard of", 1],
  ["visited", 2],
  ["reached", 3],
];

function render({ model, el }) {
  const page = root(el, "A crawl of a DHT");
  let told = null;
  let chosen = null;
  const status = h("div", { class: "lab-verdict", role: "status" }, "waiting for the kernel");
  const note = h("span", { class: "lab-quiet", role: "status" });
  const figures = h("div", { class: "lab-crawl-figures", role: "list" });
  const chart = h("div", { class: "lab-crawl-chart" });
  const names = h("div", { class: "lab-crawl-names" });
  const change = h("div", { class: "lab-crawl-change" });
  const body = h("tbody");
  const card = h("div", { class: "lab-explain", role: "status" }, "Choose a peer in the table: all that it said.");
  const crawls = h("div", { class: "lab-checks" });
  const link = connect(model, (message) => {
    if (message.type === "board") {
      told = message;
      draw();
    } else if (message.type === "told") note.textContent = message.text;
  });

  const start = h("button", { type: "button", class: "lab-primary", "data-crawl": true, onclick: begin }, "Crawl");
  const stop = h("button", { type: "button", "data-stop": true, onclick: () => link.send({ type: "stop" }) }, "Stop");
  const filters = [["", "all of them"], ...KINDS].map(([kind, title]) =>
    h("button", { type: "button", title, "data-kind": kind || "all", onclick: () => link.send({ type: "show", reach: kind }) }),
  );

  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h("div", { class: "lab-bar" }, h("h3", { class: "lab-title" }, "Crawl"), start, stop, note),
      status,
      figures,
      h("div", { class: "lab-crawl-grid" }, chart, change),
      names,
      h("div", { class: "lab-bar lab-top" }, h("h4", { class: "lab-title" }, "The latest peers"), h("span", { class: "lab-group", role: "group", "aria-label": "Which peers are shown" }, filters)),
      h(
        "div",
        { class: "lab-crawl-scroll", onkeydown: move },
        h("table", { class: "lab-crawl-peers" }, h("thead", {}, h("tr", {}, ["peer", "reach", "agent", "by", "named", "what went wrong"].map((name) => h("th", { scope: "col" }, name)))), body),
      ),
      card,
      h("details", {}, h("summary", {}, "Crawls so far"), crawls),
    ),
  );

  function begin() {
    note.textContent = "";
    link.send({ type: "crawl" });
  }

  function draw() {
    status.textContent = told.summary;
    start.disabled = told.going || !told.can;
    start.title = told.can ? "" : "This board was given nobody to begin with";
    start.textContent = told.figures ? "Crawl again" : "Crawl";
    stop.disabled = !told.going;
    const reach = new Map(told.reach ?? []);
    let all = 0;
    for (const count of reach.values()) all += count;
    for (const button of filters) {
      const kind = button.dataset.kind === "all" ? "" : button.dataset.kind;
      button.textContent = `${kind || "all"} ${(kind ? (reach.get(kind) ?? 0) : all).toLocaleString("en")}`;
      button.setAttribute("aria-pressed", String(told.shown === kind));
    }
    figures.replaceChildren(...(told.figures ?? []).map(([name, value]) => h("div", { role: "listitem" }, h("span", {}, name), " ", h("b", { class: "lab-num" }, value.toLocaleString("en")))));
    drawChart();
    drawNames();
    drawChange();
    drawPeers();
    drawCrawls();
  }

  function drawChart() {
    const samples = told.samples ?? [];
    if (samples.length < 2) {
      chart.replaceChildren(h("p", { class: "lab-quiet" }, "Here the peers are counted while the crawl goes on."));
      return;
    }
    const last = samples.at(-1);
    const span = Math.max(last[0], 0.001);
    const top = Math.max(1, ...samples.map((one) => one[1]));
    const x = (seconds) => 34 + (330 * seconds) / span;
    const y = (count) => 128 - (112 * count) / top;
    const label = LINES.map(([name, column]) => `${last[column]} ${name}`).join(", ");
    const svg = s("svg", { viewBox: "0 0 440 152", role: "img", "aria-label": `Peers over ${span.toFixed(1)} seconds: ${label}` });
    for (const count of [0, top]) {
      svg.append(s("line", { x1: 34, x2: 364, y1: y(count), y2: y(count), class: "lab-crawl-rule" }));
      svg.append(s("text", { x: 29, y: y(count) + 4, "text-anchor": "end" }, document.createTextNode(String(count))));
    }
    const spots = LINES.map(([name, column]) => ({ name, column, at: y(last[column]) })).sort((a, b) => a.at - b.at);
    spots.forEach((spot, n) => {
      if (n && spot.at - spots[n - 1].at < 14) spot.at = spots[n - 1].at + 14; // words must not lie on each other
    });
    const low = Math.max(0, spots.at(-1).at - 128);
    for (const { name, column, at } of spots) {
      const points = samples.map((one) => `${x(one[0]).toFixed(1)},${y(one[column]).toFixed(1)}`).join(" ");
      svg.append(s("polyline", { points, class: "lab-crawl-line", "data-line": column }));
      svg.append(s("text", { x: 370, y: at - low + 4, class: "lab-crawl-word", "data-line": column }, document.createTextNode(`${name} ${last[column].toLocaleString("en")}`)));
    }
    svg.append(s("text", { x: 34, y: 146 }, document.createTextNode("0 s")), s("text", { x: 364, y: 146, "text-anchor": "end" }, document.createTextNode(`${span.toFixed(1)} s`)));
    chart.replaceChildren(svg);
  }

  function drawNames() {
    const tables = [
      ["Programs", told.programs],
      ["Protocols", told.protocols],
      ["Transports", told.transports],
    ].filter(([, rows]) => rows?.length);
    names.replaceChildren(
      ...tables.map(([title, rows]) =>
        h(
          "table",
          {},
          h("caption", {}, `${title} of the peers that were reached`),
          h(
            "tbody",
            {},
            rows.map(([name, count]) => {
              const share = Math.min(1, told.there ? count / told.there : 0);
              return h("tr", {}, h("td", { class: "lab-crawl-name" }, name), h("td", { class: "lab-num lab-crawl-right" }, count.toLocaleString("en")), h("td", {}, h("span", { class: "lab-share lab-weight", "aria-hidden": "true" }, h("span", { style: `width:${100 * share}%` }))));
            }),
          ),
        ),
      ),
    );
  }

  function drawChange() {
    const churn = told.churn;
    if (!churn) {
      const text = told.figures ? "Crawl again, and this says who came and who left meanwhile." : "";
      change.replaceChildren(h("p", { class: "lab-quiet" }, text));
      return;
    }
    const list = (word, shown, count) =>
      h("li", {}, h("b", {}, `${count.toLocaleString("en")} ${word}`), shown.length ? h("span", { class: "lab-mono" }, ` ${shown.join(" ")}${count > shown.length ? " …" : ""}`) : "");
    change.replaceChildren(
      h("h4", {}, "Since the crawl before"),
      h("ul", {}, list("stayed", [], churn.stayed), list("came", churn.came, churn.came_count), list("left", churn.left, churn.left_count), churn.changed.map(([who, old, now]) => h("li", {}, h("span", { class: "lab-mono" }, who), ` ran ${old}, runs ${now} now`))),
    );
  }

  // The rows are made anew five times a second: whoever stands in one shall not notice.
  function drawPeers() {
    const held = page.contains(document.activeElement) ? document.activeElement.dataset.peer : null;
    const rows = (told.peers ?? []).map((one) =>
      h(
        "tr",
        { "data-reach": one.reach },
        h("td", {}, h("button", { type: "button", class: "lab-crawl-peer lab-mono", "data-peer": one.id, "aria-pressed": String(chosen === one.id), onclick: () => choose(one) }, one.name)),
        h("td", {}, h("span", { class: "lab-crawl-reach", "data-reach": one.reach }, one.reach)),
        h("td", {}, one.agent),
        h("td", {}, one.transport),
        h("td", { class: "lab-num lab-crawl-right" }, String(one.named)),
        h("td", { class: "lab-crawl-why", title: one.why }, one.why),
      ),
    );
    if (!rows.length) rows.push(h("tr", {}, h("td", { colspan: 6, class: "lab-quiet" }, "none")));
    body.replaceChildren(...rows);
    if (held) body.querySelector(`[data-peer="${held}"]`)?.focus({ preventScroll: true });
  }

  function choose(one) {
    chosen = one.id;
    const where = one.addr ? `It answered at ${one.addr}. ` : "";
    const said = one.reach === "answered" ? `It named ${one.named} peers in ${one.questions} answers. ` : "";
    const spoken = one.protocols.length ? `It speaks ${one.protocols.join(", ")}.` : "";
    card.replaceChildren(h("b", { class: "lab-mono" }, one.id), h("div", {}, `${one.reach}; ${one.agent || "did not say what it runs"}. ${where}${said}${one.why ? `${one.why}. ` : ""}`), h("div", { class: "lab-mono" }, spoken));
    drawPeers();
  }

  function move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const buttons = [...body.querySelectorAll("[data-peer]")];
    const at = buttons.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab has other plans for arrow keys
    buttons[Math.min(buttons.length - 1, Math.max(0, at + step))].focus();
  }

  function drawCrawls() {
    const head = ["crawl", "seconds", "heard of", "reached", "came", "left", "stayed"].map((name) => h("th", { scope: "col" }, name));
    const rows = (told.crawls ?? []).map((row) => h("tr", {}, row.map((cell) => h("td", { class: "lab-num" }, cell))));
    crawls.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)));
  }

  return () => link.close();
}

export default { render };
