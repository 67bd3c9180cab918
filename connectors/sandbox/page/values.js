// What elements offer and start with.

import { store } from "./state.js";

/** Everybody in the workspace as options: value is the Slack id. */
export function people() {
  return store.people.filter(({ deactivated }) => !deactivated)
    .map(({ slack, name }) => ({ value: slack, text: { type: "plain_text", text: name } }));
}

/** The value that an element starts with, in the form Slack sends it. */
export function initial(element) {
  const { type } = element;
  if (element.initial_option) return { type, selected_option: element.initial_option };
  if (element.initial_options) return { type, selected_options: element.initial_options };
  if (element.initial_user) return { type, selected_user: element.initial_user };
  if (element.initial_date_time) return { type, selected_date_time: element.initial_date_time };
  if (element.initial_date) return { type, selected_date: element.initial_date };
  if (element.initial_time) return { type, selected_time: element.initial_time };
  return element.initial_value === undefined ? undefined : { type, value: String(element.initial_value) };
}

/** A value as `/_sandbox/act` takes it: an option's value, a list of them, a person, a moment, a text. */
export function given(value) {
  if ("selected_options" in value) return value.selected_options.map((option) => option.value);
  if ("selected_option" in value) {
    const option = value.selected_option;
    return value.type === "external_select" ? option?.text.text ?? null : option?.value ?? null;
  }
  return Object.entries(value).find(([name]) => name !== "type")[1];
}
