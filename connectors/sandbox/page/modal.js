// The modal that the app opened for the chosen person, as a form. What somebody typed outlives every redraw.

import { drawBlocks } from "./blocks.js";
import { button, el, pending } from "./dom.js";
import { withEmoji } from "./mrkdwn.js";
import { act, store } from "./state.js";
import { given } from "./values.js";

const typed = new Map();
let dialog = null;
let sending = Promise.resolve();

/** Open, refresh or close the dialog so that it shows what is on top of the chosen person's stack. */
export function drawModal() {
  const view = topView();
  if (!view) { closeDialog(); return; }
  if (dialog?.dataset.view !== view.id) openDialog(view.id);
  fill(view);
}

function topView() {
  return store.vendors.slack?.views?.[store.as]?.at(-1);
}

function openDialog(id) {
  closeDialog();
  dialog = el("dialog", { class: "dialog", autofocus: true, "data-view": id, "aria-labelledby": "modal-title",
    oncancel: (event) => { event.preventDefault(); pending(dialog, () => dismiss(id)); } },
    el("form", { novalidate: true, onsubmit: (event) => { event.preventDefault(); submit(id); } },
      el("div", { class: "dialog-head" }, el("h2", { id: "modal-title" }),
        button("×", () => dismiss(id), { class: "plain", "aria-label": "Close" })),
      el("div", { class: "dialog-body blocks" }),
      el("div", { class: "dialog-foot row end" })));
  document.body.append(dialog);
  dialog.showModal();
}

function closeDialog() {
  dialog?.close();
  dialog?.remove();
  dialog = null;
}

/** Put the view's present definition into the open dialog; blocks that did not change are not touched. */
function fill(view) {
  dialog.querySelector("h2").textContent = withEmoji(view.title?.text);
  drawBlocks(dialog.querySelector(".dialog-body"), view.blocks, contextOf(view));
  faceErrors(view.errors ?? {});
  const foot = dialog.querySelector(".dialog-foot");
  const signature = JSON.stringify([view.submit, view.close, view.notice]);
  if (foot.dataset.signature === signature) return;
  foot.dataset.signature = signature;
  foot.replaceChildren(...[
    view.notice && el("p", { class: "error grow", role: "alert" }, view.notice),
    button(withEmoji(view.close?.text ?? "Close"), () => dismiss(view.id)),
    view.submit && el("button", { type: "submit", class: "primary" }, withEmoji(view.submit.text)),
  ].filter(Boolean));
}

/** Go to the first field that was refused, as soon as it is drawn so. */
function faceErrors(errors) {
  const told = JSON.stringify(errors);
  if (dialog.dataset.errors !== told) dialog.querySelector("[aria-invalid=true]")?.focus();
  dialog.dataset.errors = told;
}

/** What somebody typed here, by block; gone when the modal is closed. */
function typedIn(id) {
  if (!typed.has(id)) typed.set(id, new Map());
  return typed.get(id);
}

/** Values wait here for the submission; inputs that notify the app, and elements outside inputs, tell it at once. */
function contextOf(view) {
  const values = typedIn(view.id);
  return {
    errors: view.errors ?? {},
    get: (block, element) => values.get(block.block_id) ?? view.state?.values?.[block.block_id]?.[element.action_id],
    set: (block, element, value) => {
      if (block.type !== "input") return click(view.id, block, element, value);
      values.set(block.block_id, value);
      return undefined;
    },
    settle: (block) => (block.dispatch_action ? inOrder(() => tell(view.id, block)) : undefined),
    suggest: (block, element, text) =>
      act("slack.suggest", { view_id: view.id, block_id: block.block_id, action_id: element.action_id, value: text }),
  };
}

function click(id, block, element, value) {
  const chosen = element.type === "button" ? {} : { option: given(value) };
  return act("slack.click", { view_id: id, block_id: block.block_id, action_id: element.action_id, ...chosen });
}

/** Send one input's value; from then on the sandbox holds it, unless it was changed meanwhile. */
async function tell(id, block) {
  const values = typedIn(id);
  const value = values.get(block.block_id);
  if (value === undefined) return;
  await act("slack.fill", { view_id: id, block_id: block.block_id, value: given(value) });
  if (values.get(block.block_id) === value) values.delete(block.block_id);
}

/** One sending after the other, so that a submission never overtakes what was filled in before it. */
function inOrder(work) {
  const turn = sending.then(work);
  sending = turn.catch(() => undefined);
  return turn;
}

async function submit(id) {
  const control = dialog.querySelector("[type=submit]");
  if (!control) return;
  dialog.dataset.errors = "";
  const answer = await pending(control, () =>
    inOrder(() => act("slack.submit", { view_id: id, values: valuesOf(id) })));
  if (answer?.closed) typed.delete(id);
}

/** What was typed into inputs that are still shown. */
function valuesOf(id) {
  const shown = new Set(topView()?.blocks.map((block) => block.block_id));
  return Object.fromEntries([...typedIn(id)].filter(([block]) => shown.has(block)).map(([block, value]) =>
    [block, given(value)]));
}

async function dismiss(id) {
  await act("slack.close_view", { view_id: id });
  typed.delete(id);
}
