// Block Kit's interactive elements as the browser's own controls. `context` says what a change means:
//   get(block, element) -> the element's present value, or undefined
//   set(block, element, value) -> a new value, in Slack's form; may answer a promise
//   settle(block) -> the person is done with an input                     (inputs only)
//   suggest(block, element, text) -> options for what was typed           (external_select only)

import { confirmed, el, pending } from "./dom.js";
import { link, textObject, withEmoji } from "./mrkdwn.js";
import { typeahead } from "./typeahead.js";
import { initial, people } from "./values.js";

/** The control for one element of `block`; `labels` are attributes that name and describe it. */
export function interactive(element, block, context, labels = {}) {
  const draw = CONTROLS[element.type];
  if (!draw) return el("span", { class: "quiet" }, `(${element.type} is not drawn here)`);
  const attributes = { "data-focus": `${block.block_id}/${element.action_id}`, ...named(element), ...labels };
  return draw({ element, block, context, attributes });
}

const CONTROLS = {
  button: pushButton,
  static_select: select,
  users_select: select,
  external_select: (parts) => typeahead({ ...parts, put }),
  overflow,
  checkboxes: (parts) => choices({ ...parts, type: "checkbox" }),
  radio_buttons: (parts) => choices({ ...parts, type: "radio" }),
  plain_text_input: textInput,
  url_text_input: (parts) => typed(parts, { type: "url", inputmode: "url" }),
  email_text_input: (parts) => typed(parts, { type: "email" }),
  number_input: (parts) => typed(parts, { type: "number", step: parts.element.is_decimal_allowed ? "any" : "1",
    min: parts.element.min_value, max: parts.element.max_value }),
  datepicker: (parts) => typed(parts, { type: "date" }, "selected_date", parts.element.initial_date),
  timepicker: (parts) => typed(parts, { type: "time" }, "selected_time", parts.element.initial_time),
  datetimepicker: momentPicker,
};

/** A choice is complete at once: the new value, and nothing more to come. */
async function put(context, block, element, value) {
  await context.set(block, element, value);
  await settle(context, block);
}

const settle = (context, block) => (block.type === "input" ? context.settle?.(block) : undefined);

function named(element) {
  return element.accessibility_label ? { "aria-label": element.accessibility_label } : {};
}

function pushButton({ element, block, context, attributes }) {
  const press = async (event) => {
    const control = event.currentTarget;
    if (element.confirm && !(await confirmed(element.confirm))) return;
    await pending(control, () => context.set(block, element, { type: "button", value: element.value }));
  };
  const label = withEmoji(element.text.text);
  if (element.url) return el("span", { class: "button-link" }, link(element.url, label));
  return el("button", { type: "button", class: element.style, ...attributes, onclick: press }, label);
}

/** One of several: options, groups of options, or people. */
function select({ element, block, context, attributes }) {
  const chosen = context.get(block, element) ?? initial(element);
  const current = chosen?.selected_user ?? chosen?.selected_option?.value ?? "";
  const pick = async (event) => {
    const control = event.currentTarget;
    const { value } = control;
    if (element.confirm && !(await confirmed(element.confirm))) { control.value = current; return; }
    await pending(control, () => put(context, block, element, valueOf(element, value)));
  };
  const groups = element.option_groups ?? [{ options: options(element) }];
  return el("select", { ...attributes, onchange: pick },
    el("option", { value: "", selected: current === "", disabled: block.type !== "input" || !block.optional },
      element.placeholder?.text ?? "Choose…"),
    groups.map((group) => (group.label
      ? el("optgroup", { label: group.label.text }, optionNodes(group.options, current))
      : optionNodes(group.options, current))));
}

function options(element) {
  return element.type === "users_select" ? people() : element.options ?? [];
}

function optionNodes(list, current) {
  return list.map((option) =>
    el("option", { value: option.value, selected: option.value === current }, withEmoji(option.text.text)));
}

function valueOf(element, value) {
  if (element.type === "users_select") return { type: element.type, selected_user: value || null };
  const all = element.options ?? element.option_groups.flatMap((group) => group.options);
  return { type: element.type, selected_option: all.find((option) => option.value === value) ?? null };
}

function overflow({ element, block, context, attributes }) {
  const choose = (option) => async (event) => {
    const control = event.currentTarget;
    control.closest("details").open = false;
    if (element.confirm && !(await confirmed(element.confirm))) return;
    await pending(control, () => context.set(block, element, { type: "overflow", selected_option: option }));
  };
  return el("details", { class: "menu" }, el("summary", { "aria-label": "More actions", ...attributes }, "⋯"),
    el("div", { class: "menu-items" }, element.options.map((option) =>
      el("button", { type: "button", onclick: choose(option) }, withEmoji(option.text.text)))));
}

/** Check boxes or radio buttons. */
function choices({ element, block, context, attributes, type }) {
  const many = type === "checkbox";
  const chosen = context.get(block, element) ?? initial(element);
  const values = new Set((many ? chosen?.selected_options ?? [] : [chosen?.selected_option]).map((option) =>
    option?.value));
  const box = el("div", { class: "choices", role: many ? "group" : "radiogroup", ...attributes });
  const change = () => {
    const picked = element.options.filter((_, index) => box.querySelectorAll("input")[index].checked);
    const value = many ? { selected_options: picked } : { selected_option: picked[0] ?? null };
    return pending(box, () => put(context, block, element, { type: element.type, ...value }));
  };
  box.append(...element.options.map((option) => el("label", { class: "choice" },
    el("input", { type, name: `${block.block_id}/${element.action_id}`, checked: values.has(option.value),
      onchange: change }),
    el("span", {}, textObject(option.text), option.description && el("small", {}, textObject(option.description))))));
  return box;
}

/** One line or several, with a count when the length is limited. */
function textInput({ element, block, context, attributes }) {
  const value = (context.get(block, element) ?? initial(element))?.value ?? "";
  const count = element.max_length ? el("small", { class: "count" }) : null;
  const recount = (text) => { if (count) count.textContent = `${[...text].length} / ${element.max_length}`; };
  const input = el(element.multiline ? "textarea" : "input", {
    ...attributes, value, maxlength: element.max_length, minlength: element.min_length,
      rows: element.multiline ? 4 : null,
    placeholder: element.placeholder?.text, onchange: (event) =>
      pending(event.currentTarget, () => settle(context, block)),
    oninput: (event) => {
      recount(event.currentTarget.value);
      context.set(block, element, { type: element.type, value: event.currentTarget.value || null });
    },
  });
  recount(value);
  return el("span", { class: "field" }, input, count);
}

/** An input of the browser's own kind whose value is its text. */
function typed({ element, block, context, attributes }, own, field = "value") {
  const value = (context.get(block, element) ?? initial(element))?.[field] ?? "";
  return el("input", { ...attributes, ...own, value, placeholder: element.placeholder?.text,
    oninput: (event) => context.set(block, element, { type: element.type, [field]: event.currentTarget.value || null }),
    onchange: (event) => pending(event.currentTarget, () => settle(context, block)) });
}

/** A moment, as seconds since 1970 on the wire and in the reader's zone on the page. */
function momentPicker({ element, block, context, attributes }) {
  const seconds = (context.get(block, element) ?? initial(element))?.selected_date_time;
  const local = (date) => new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  return el("input", { ...attributes, type: "datetime-local", value: seconds ? local(new Date(seconds * 1000)) : "",
    onchange: (event) => {
      const chosen = Date.parse(event.currentTarget.value);
      const value = { type: element.type, selected_date_time: chosen ? Math.floor(chosen / 1000) : null };
      return pending(event.currentTarget, () => put(context, block, element, value));
    } });
}
