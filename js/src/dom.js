// Small things that all widgets share: elements, the link to the kernel, colours.

/**
 * An element. Attributes that begin with "on" are listeners; null and false are left out.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * An element of a drawing. Every attribute is set as it is.
 */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

let views = 0;

/**
 * One view's link to the kernel. Each message from there is acknowledged once it is handled: the
 * kernel sends no further one before, so a slow page never has a queue.
 */
export function connect(model, receive) {
  const view = `${Date.now().toString(36)}-${(views += 1)}-${Math.random().toString(36).slice(2)}`;
  const take = (message, buffers) => {
    if (message.to && message.to !== view) return;
    try {
      receive(message, buffers);
    } finally {
      if (message.seq !== undefined) model.send({ type: "ack", view, seq: message.seq });
    }
  };
  model.on("msg:custom", take);
  model.send({ type: "open", view });
  return {
    send: (content) => model.send({ ...content, view }),
    close: () => {
      model.off("msg:custom", take);
      model.send({ type: "close", view });
    },
  };
}

/** Calls `changed` when JupyterLab's theme changes; the returned function ends it. */
export function onTheme(changed) {
  const observer = new MutationObserver(changed);
  observer.observe(document.body, {
    attributes: true,
    attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"],
  });
  return () => observer.disconnect();
}

/** The present value of a colour variable, as the canvas wants it. */
export function colour(element, name) {
  return getComputedStyle(element).getPropertyValue(name).trim();
}

export const LAYERS = {
  identity: "identity",
  address: "address",
  transport: "transport",
  negotiation: "negotiation",
  security: "security",
  muxer: "muxer",
  stream: "stream",
  host: "host",
};

/** A layer's coloured chip, always with its word. */
export function chip(layer, text = layer) {
  return h("span", { class: "lab-chip", "data-layer": LAYERS[layer] ?? "stream" }, text);
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** 12345 → "12.3 kB". */
export function bytes(count) {
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export function plural(count, noun, several = `${noun}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? noun : several}`;
}

const SPECS = "https://github.com/libp2p/specs/blob/master/";

/** A link to a page of the specs; it is followed only when a person does so. */
export function specLink(spec) {
  const address = spec.startsWith("https://") ? spec : SPECS + spec;
  const text = spec.replace(/^https:\/\//, "");
  return h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, text);
}

/** Lets a person keep bytes that the kernel made. */
export function download(name, content) {
  const address = URL.createObjectURL(new Blob([content]));
  const link = h("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** The static form goes; the live one takes its place. */
export function root(el, label) {
  const element = h("div", { class: "lab", role: "region", "aria-label": label });
  el.replaceChildren(element);
  return element;
}
