// A text field that asks the app for matching options while somebody types (external_select).

import { el, toast } from "./dom.js";
import { withEmoji } from "./mrkdwn.js";
import { initial } from "./values.js";

const PAUSE_MS = 180;
const LETTERS_FIRST = 3; // what Slack waits for when the app does not say
let count = 0;

/** The field and its list, usable with the keyboard alone: arrows, Enter, Escape. */
export function typeahead({ element, block, context, attributes, put }) {
  const listId = `options-${++count}`;
  const chosen = () => (context.get(block, element) ?? initial(element))?.selected_option ?? null;
  const list = el("ul", { class: "options", id: listId, role: "listbox", hidden: true });
  const input = el("input", {
    ...attributes, type: "text", role: "combobox", autocomplete: "off", spellcheck: "false", "aria-expanded": "false",
    "aria-controls": listId, "aria-autocomplete": "list", placeholder: element.placeholder?.text ?? "Type to search",
    value: chosen()?.text.text ?? "",
  });
  let marked = -1;
  let asked = 0;
  let timer = 0;

  const close = () => { list.hidden = true; marked = -1; input.setAttribute("aria-expanded",
    "false"); input.removeAttribute("aria-activedescendant"); };
  const choose = (option) => {
    input.value = option.text.text;
    close();
    put(context, block, element, { type: element.type, selected_option: option })
      .catch((problem) => toast(problem.message, "error"));
  };
  const item = (option) => el("li", { role: "option", id: `${listId}-${list.querySelectorAll("[role=option]").length}`,
    onmousedown: (event) => { event.preventDefault(); choose(option); } },
    withEmoji(option.text.text), option.description && el("small", {}, option.description.text));
  const show = ({ options, option_groups: groups }) => {
    list.replaceChildren();
    for (const group of groups ?? [{ options: options ?? [] }]) {
      if (group.label) list.append(el("li", { role: "presentation", class: "group" }, group.label.text));
      for (const option of group.options) list.append(item(option));
    }
    if (!list.children.length) list.append(el("li", { role: "presentation", class: "group" }, "Nothing matches"));
    list.hidden = false;
    marked = -1;
    input.setAttribute("aria-expanded", "true");
  };
  const ask = async () => {
    const turn = ++asked;
    const text = input.value === chosen()?.text.text ? "" : input.value;
    if (text.length < (element.min_query_length ?? LETTERS_FIRST)) { close(); return; }
    input.setAttribute("aria-busy", "true");
    try {
      const found = await context.suggest(block, element, text);
      if (turn === asked && document.activeElement === input) show(found ?? {});
    } catch (problem) {
      toast(problem.message, "error");
    } finally {
      if (turn === asked) input.removeAttribute("aria-busy");
    }
  };
  const mark = (step) => {
    const items = [...list.querySelectorAll("[role=option]")];
    if (list.hidden || !items.length) return;
    marked = (marked + step + items.length) % items.length;
    items.forEach((node, index) => node.setAttribute("aria-selected", String(index === marked)));
    items[marked].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", items[marked].id);
  };
  const KEYS = {
    ArrowDown: () => (list.hidden ? ask() : mark(1)),
    ArrowUp: () => mark(-1),
    Enter: () => list.querySelectorAll("[role=option]")[marked]?.dispatchEvent(new MouseEvent("mousedown",
      { cancelable: true })),
    Escape: close,
  };

  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, PAUSE_MS); });
  input.addEventListener("focus", () => { input.select(); if (!attributes["aria-invalid"]) ask(); });
  input.addEventListener("click", () => { if (list.hidden && !input.hasAttribute("aria-busy")) ask(); });
  input.addEventListener("blur",
    () => { close(); asked += 1; input.removeAttribute("aria-busy"); input.value = chosen()?.text.text ?? ""; });
  input.addEventListener("keydown", (event) => {
    if (!KEYS[event.key] || (event.key === "Escape" && list.hidden)) return;
    event.preventDefault();
    event.stopPropagation();
    KEYS[event.key]();
  });
  return el("span", { class: "field typeahead" }, input, list);
}
