// First steps: the whole story in four presses. Dismissed for good in this browser, and back with one press.

import { advance } from "./controls.js";
import { button, el } from "./dom.js";
import { openNewestIncident } from "./incident.js";
import { act, go, store } from "./state.js";

const KEY = "tinyapprover-guide";
const HOUR = 3600;

/** Ask for access as Alice, in a channel she reads. */
async function ask() {
  store.as = "alice";
  go({ as: "alice", view: "channel:C0GENERAL" });
  await act("slack.shortcut", { callback_id: "request_access" });
}

const STEPS = [
  ["Ask", "Be Alice and press “Request access”. The form opens as it would in chat.",
    [["Request access as Alice", ask]]],
  ["Decide", "Be Bob. Press Approve on the card, or comment “approve” on the page.",
    [["See the card", () => go({ as: "bob", view: "channel:C0ACCESS" })],
      ["See the page", () => openNewestIncident("bob")]]],
  ["Check", "The directory shows Alice in the group she asked for.",
    [["Open the directory", () => go({ view: "directory" })]]],
  ["Wait", "Move time forward: access that has an end is taken back.", [["Let 8 hours pass", () => advance(8 * HOUR)]]],
];

/** Show the panel unless it was dismissed; on phones it begins folded. */
export function drawGuide(panel) {
  const narrow = matchMedia("(max-width: 820px)").matches;
  panel.hidden = localStorage.getItem(KEY) === "dismissed";
  panel.replaceChildren(el("details", { open: !narrow },
    el("summary", {}, el("strong", {}, "Try it in four steps")),
    el("ol", {}, STEPS.map(([title, text, presses], index) => el("li", {},
      el("span", { class: "number", "aria-hidden": "true" }, String(index + 1)), el("strong", {}, title),
        el("span", {}, text),
      el("div", { class: "row" }, presses.map(([label, work]) => button(label, async () => work())))))),
    el("div", { class: "row end" }, button("Dismiss", () => dismiss(panel, true), { class: "plain" }))));
}

/** Hide the panel and remember it, or bring it back. */
export function dismiss(panel, yes) {
  if (yes) localStorage.setItem(KEY, "dismissed");
  else localStorage.removeItem(KEY);
  panel.hidden = yes;
}
