// Building and refreshing elements. Text only ever becomes text nodes; markup is never parsed.

const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "hidden", "open", "required"]);

/** An element with attributes (onX listens, properties are set, null and false are left out) and children. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const drawn = new WeakMap();

/**
 * Make `container` hold `items` ({key, signature, render}) in order, drawing only those whose signature changed,
 * so that what a person is reading, focusing or typing in stays as it is.
 */
export function keyed(container, items) {
  const before = drawn.get(container) ?? new Map();
  const now = new Map();
  for (const { key, signature, render } of items) {
    const old = before.get(key);
    const node = old?.signature === signature ? old.node : replacement(old?.node, render);
    now.set(key, { signature, node });
  }
  for (const child of [...container.childNodes]) {
    if (![...now.values()].some(({ node }) => node === child)) child.remove();
  }
  let next = container.firstChild;
  for (const { node } of now.values()) {
    if (node === next) next = next.nextSibling;
    else container.insertBefore(node, next);
  }
  drawn.set(container, now);
}

/** Draw anew; when the old node held the keyboard focus, its counterpart gets it. */
function replacement(old, render) {
  const node = render();
  const focused = old?.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  if (old?.isConnected) old.replaceWith(node);
  if (focused) node.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  return node;
}

/**
 * Run `work` while `control` does nothing and says so; a failure is told as a toast and answered as undefined.
 * aria-disabled, because a control that is really disabled would lose the keyboard focus.
 */
export async function pending(control, work) {
  if (control.hasAttribute("aria-busy")) return undefined;
  control.setAttribute("aria-disabled", "true");
  control.setAttribute("aria-busy", "true");
  try {
    return await work();
  } catch (problem) {
    toast(problem.message, "error");
    return undefined;
  } finally {
    control.removeAttribute("aria-disabled");
    control.removeAttribute("aria-busy");
  }
}

/** A push button that is disabled while its work runs. */
export function button(label, work, attributes = {}) {
  return el("button", { type: "button", ...attributes, onclick: (event) => pending(event.currentTarget, work) }, label);
}

/** A short message at the edge of the page, read out by screen readers. */
export function toast(text, kind = "info") {
  const node = el("div", { class: `toast ${kind}`, role: kind === "error" ? "alert" : null }, el("span", {}, text));
  node.append(el("button", { type: "button", class: "plain", "aria-label": "Dismiss", onclick: () => node.remove() },
    "×"));
  document.getElementById("toasts").append(node);
  setTimeout(() => node.remove(), kind === "error" ? 12000 : 5000);
}

/** Ask with Block Kit's confirm object; true when confirmed. */
export function confirmed(confirm) {
  return new Promise((resolve) => {
    const text = (object, fallback) => object?.text ?? fallback;
    const answer = (value) => () => { dialog.close(); dialog.remove(); resolve(value); };
    const dialog = el("dialog", { class: "dialog small", "aria-labelledby": "confirm-title", oncancel: answer(false) },
      el("h2", { id: "confirm-title" }, text(confirm.title, "Are you sure?")),
      el("p", { class: "prose" }, text(confirm.text, "")),
      el("div", { class: "row end" },
        el("button", { type: "button", onclick: answer(false) }, text(confirm.deny, "Cancel")),
        el("button", { type: "button", class: confirm.style === "danger" ? "danger" : "primary",
          onclick: answer(true) },
          text(confirm.confirm, "Yes"))));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** An item for `keyed` that is drawn anew whenever `data` is another. */
export function part(key, data, render) {
  return { key, signature: JSON.stringify(data), render };
}

/** A moment as people read it, with the exact time in its title; `at` is ISO 8601 or milliseconds. */
export function when(at) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return String(at ?? "");
  const text = new Intl.DateTimeFormat(undefined,
    { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(date);
  return el("time", { datetime: date.toISOString(), title: date.toLocaleString() }, text);
}
