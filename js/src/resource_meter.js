// ResourceMeter: what others use of a host, scope by scope, as bars beside what they may.
import { bytes, connect, h, plural, root } from "./dom.js";

const MAIN = ["connections", "streams", "memory"];
const FULL = 0.8; // from here on a bar warns
const SAY_EVERY = 5000; // ms between two sentences for screen readers

function render({ model, el }) {
  const page = root(el, "Resources of peers");
  const status = h("span", { class: "lab-quiet lab-num" }, "waiting for the kernel");
  const spoken = h("div", { class: "lab-hidden", "aria-live": "polite" });
  const body = h("div", { class: "lab-checks" });
  const details = h("input", { type: "checkbox", onchange: () => draw() });
  page.append(
    h(
      "div",
      { class: "lab-frame" },
      h(
        "div",
        { class: "lab-bar" },
        h("h3", { class: "lab-title" }, "Resources"),
        status,
        h("span", { class: "lab-grow" }),
        h("label", {}, details, "inbound and outbound apart"),
      ),
      body,
    ),
    spoken,
  );
  let told = null;
  let saidAt = 0;

  const link = connect(model, (message) => {
    if (message.type !== "books") return;
    told = message;
    status.textContent = message.summary;
    if (Date.now() - saidAt > SAY_EVERY) {
      saidAt = Date.now();
      spoken.textContent = message.summary;
    }
    draw();
  });

  function draw() {
    if (told) body.replaceChildren(...told.hosts.flatMap(drawHost));
  }

  function drawHost({ name, accounts, refusals, more }) {
    const shown = details.checked
      ? ["connections_inbound", "connections_outbound", "streams_inbound", "streams_outbound", "memory"]
      : MAIN;
    const rows = accounts.map((account) =>
      h(
        "tr",
        { "data-kind": account.kind },
        h("th", { scope: "row" }, account.kind, account.name ? h("div", { class: "lab-mono" }, account.name) : null),
        shown.map((resource) => h("td", {}, bar(account, resource))),
      ),
    );
    const words = (resource) => resource.replace("_", ", ");
    const found = [
      h(
        "table",
        { class: "lab-books" },
        h("caption", {}, `${name}${more ? `: the first ${accounts.length} of ${accounts.length + more} scopes` : ""}`),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "scope"), shown.map((one) => h("th", { scope: "col" }, words(one))))),
        h("tbody", {}, rows),
      ),
    ];
    if (refusals.length)
      found.push(
        h(
          "p",
          { class: "lab-refused" },
          h("b", { class: "lab-bad" }, "Refused: "),
          refusals.flatMap(({ kind, limit, times }, at) => [
            at ? "; " : "",
            `${plural(times, "time")} by `,
            h("code", {}, limit),
            ` of the ${kind} scope`,
          ]),
        ),
      );
    return found;
  }

  function bar(account, resource) {
    const meter = account.meters.find((one) => one.resource === resource);
    if (!meter) return "";
    const amount = resource === "memory" ? bytes : (count) => count.toLocaleString("en");
    const text = meter.allowed === null ? amount(meter.used) : `${amount(meter.used)} of ${amount(meter.allowed)}`;
    if (meter.allowed === null) return text;
    const share = meter.allowed ? Math.min(1, meter.used / meter.allowed) : 0;
    const fill = h("i");
    fill.style.width = meter.used ? `max(2px, ${(share * 100).toFixed(1)}%)` : "0";
    const kind = share >= FULL ? "unread" : "window";
    return h("span", { class: "lab-use lab-num", title: meter.limit }, h("span", { class: "lab-meter", "data-kind": kind }, h("span", {}, fill)), text);
  }

  return () => link.close();
}

export default { render };
