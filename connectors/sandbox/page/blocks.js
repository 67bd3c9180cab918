// Block Kit blocks as elements: the same for messages, modals and the App Home.

import { el, keyed } from "./dom.js";
import { interactive } from "./elements.js";
import { textObject, withEmoji } from "./mrkdwn.js";
import { markdown, richText, table } from "./richtext.js";

/** Draw `blocks` into `container`, keeping those that did not change; `context` is elements.js's, plus `errors`. */
export function drawBlocks(container, blocks, context) {
  keyed(container, blocks.map((block, index) => ({
    key: block.block_id ?? `#${index}`,
    signature: JSON.stringify([block, context.errors?.[block.block_id]]),
    render: () => renderBlock(block, context),
  })));
  return container;
}

const BLOCKS = {
  header: (block) => el("p", { class: "block-header", role: "heading", "aria-level": "3" }, textObject(block.text)),
  divider: () => el("hr"),
  section,
  context: (block) => el("div", { class: "block-context prose" }, block.elements.map((part) =>
    (part.type === "image" ? imageWords(part) : el("span", {}, textObject(part))))),
  actions: (block, context) => el("div", { class: "row actions" },
    block.elements.map((element) => interactive(element, block, context))),
  context_actions: (block, context) =>
    el("div", { class: "row actions" }, block.elements.flatMap((element) => feedback(element, block, context))),
  image: (block) => el("div", {}, block.title && el("strong", {}, textObject(block.title)), " ", imageWords(block)),
  input,
  rich_text: richText,
  markdown: (block) => markdown(block.text),
  table,
  data_table: table,
  alert: (block) => el("div", { class: `alert ${block.level ?? "default"}`, role: "note" },
    el("div", { class: "prose" }, textObject(block.text))),
  task_card: (block) => el("p", { class: "task quiet" }, el("span", { class: block.status, "aria-hidden": "true" }),
    block.title),
  container,
};

function renderBlock(block, context) {
  const draw = BLOCKS[block.type];
  return draw ? draw(block, context) : el("p", { class: "quiet" }, `(a block of type ${block.type} is not drawn here)`);
}

function section(block, context) {
  const fields = block.fields
    && el("div", { class: "fields" }, block.fields.map((field) => el("div", { class: "prose" }, textObject(field))));
  const words = el("div", { class: "grow" }, block.text && el("div", { class: "prose" }, textObject(block.text)),
    fields);
  if (!block.accessory) return words;
  const accessory = block.accessory.type === "image" ? imageWords(block.accessory)
    : interactive(block.accessory, block, context);
  return el("div", { class: "section" }, words, el("div", { class: "accessory" }, accessory));
}

/** Pictures are never fetched: nothing leaves this machine. Their description stands for them. */
function imageWords(image) {
  return el("span", { class: "picture", role: "img", "aria-label": image.alt_text }, `[picture: ${image.alt_text}]`);
}

function feedback(element, block, context) {
  if (element.type !== "feedback_buttons") return [interactive({ ...element, type: "button" }, block, context)];
  return [element.positive_button, element.negative_button].map((choice) =>
    interactive({ type: "button", action_id: element.action_id, text: choice.text, value: choice.value }, block,
      context));
}

/** A labelled field with its hint and, after a refused submission, what is wrong with it. */
function input(block, context) {
  const error = context.errors?.[block.block_id];
  const hintId = `hint-${block.block_id}`;
  const errorId = `error-${block.block_id}`;
  const several = ["checkboxes", "radio_buttons"].includes(block.element.type);
  const fieldId = `field-${block.block_id}`;
  const control = interactive(block.element, block, context, {
    id: fieldId, "aria-invalid": error ? "true" : null, "aria-required": block.optional ? null : "true",
    "aria-labelledby": several ? `label-${block.block_id}` : null,
    "aria-describedby": [block.hint && hintId, error && errorId].filter(Boolean).join(" ") || null,
  });
  return el("div", { class: `input ${error ? "wrong" : ""}` },
    el(several ? "span" : "label", { class: "label", id: `label-${block.block_id}`, for: several ? null : fieldId },
      withEmoji(block.label.text), block.optional && el("small", {}, " (optional)")),
    control,
    error && el("p", { class: "error", id: errorId }, error),
    block.hint && el("p", { class: "hint", id: hintId }, withEmoji(block.hint.text)));
}

function container(block, context) {
  const title = block.title ? textObject(block.title) : richText(block.rich_text_title);
  const heading = [el("strong", {}, title), block.subtitle && el("small", {}, " ", textObject(block.subtitle))];
  const children = drawBlocks(el("div", { class: "blocks" }), block.child_blocks, context);
  if (!block.is_collapsible) return el("div", { class: "container" }, el("div", {}, heading), children);
  return el("details", { class: "container", open: !block.default_collapsed }, el("summary", {}, heading), children);
}
