// Page: the incidents that went out, who was paged, and one incident with its notes, as a responder sees it.

import { button, el, keyed, part, when } from "./dom.js";
import { act, go, person, store } from "./state.js";

const STATUS = { triggered: "bad", acknowledged: "warn", resolved: "good" };

const BOT = { key: "bot", name: "TinyApprover" };

const nameOf = (key) => [...store.people, BOT].find((someone) => someone.key === key)?.name ?? key;
const incidents = () => store.vendors.pagerduty?.incidents ?? [];

/** How many open incidents wait for the chosen person. */
export function waiting() {
  return incidents().filter(({ status, assigned }) => status === "triggered" && assigned.includes(store.as)).length;
}

/** The list, or the incident that `id` names. */
export function drawIncidents(root, id) {
  const incident = incidents().find((each) => each.id === id);
  if (incident) drawIncident(root, incident);
  else drawList(root);
}

function drawList(root) {
  const paged = (store.vendors.pagerduty?.paged ?? []).toReversed();
  keyed(root, [
    part("title", "", () => el("h1", {}, "Pages")),
    part("lead", "", () => el("p", { class: "quiet" },
      "Incidents that asked somebody on call for a decision, newest first.")),
    part("list", [incidents(), store.as], () => el("div", { class: "split" }, incidentList(), notifications(paged))),
  ]);
}

function incidentList() {
  const list = incidents().toReversed();
  if (!list.length) return el("p", { class: "card quiet" },
    "Nobody has been paged yet. Ask for access as Alice and come back.");
  return el("ul", { class: "incidents" }, list.map((incident) => el("li", {},
    el("a", { href: `#as=${store.as}&view=page:${incident.id}` }, el("div", { class: "card stack" },
      el("div", { class: "row" }, tags(incident), el("small", {}, `#${incident.number} · `, when(incident.created_at))),
      el("strong", {}, incident.title),
      el("small", {}, `Assigned to ${incident.assigned.map(nameOf).join(", ") || "nobody"}`))))));
}

function notifications(paged) {
  const lines = paged.slice(0, 30).map(({ person: key, incident, urgency, at }) => el("li", {},
    el("strong", {}, key === store.as ? "You" : nameOf(key)), ` · ${urgency} urgency · `, when(at), " ",
    el("a", { href: `#as=${store.as}&view=page:${incident}` }, "open")));
  return el("section", { class: "card stack", "aria-label": "Notifications" }, el("h2", {}, "Who got paged"),
    lines.length ? el("ul", {}, lines) : el("p", { class: "quiet" }, "Nobody yet."));
}

function tags({ status, urgency }) {
  return [el("span", { class: `tag ${STATUS[status] ?? ""}` }, status),
    el("span", { class: `tag ${urgency === "high" ? "bad" : ""}` }, `${urgency} urgency`)];
}

function drawIncident(root, incident) {
  const { notes, ...rest } = incident;
  keyed(root, [
    part("back", store.as, () => el("a", { href: `#as=${store.as}&view=page` }, "← All pages")),
    part("facts", [rest, store.as], () => facts(incident)),
    part("body", incident.body, () =>
      el("section", { class: "card stack" }, el("h2", {}, "Details"),
      el("div", { class: "prose" }, incident.body || "No details."))),
    part("notes", notes, () => noteList(notes)),
    part("comment", store.as, () => commentForm(incident)),
  ]);
}

function facts(incident) {
  const open = incident.status !== "resolved";
  const change = (verb) => () => act(`pagerduty.${verb}`, { incident: incident.id });
  return el("section", { class: "card stack" },
    el("div", { class: "row" }, tags(incident), el("small", {}, `Incident #${incident.number}`)),
    el("h1", {}, incident.title),
    el("dl", { class: "facts" },
      el("dt", {}, "Opened"), el("dd", {}, when(incident.created_at)),
      el("dt", {}, "Assigned to"), el("dd", {}, incident.assigned.map(nameOf).join(", ") || "nobody"),
      el("dt", {}, "Escalation level"), el("dd", {}, String(incident.level))),
    open && person()?.pagerduty && el("div", { class: "row" },
      incident.status === "triggered" && button("Acknowledge", change("acknowledge"), { "data-focus": "acknowledge" }),
      button("Resolve", change("resolve"), { "data-focus": "resolve" }),
      el("small", {}, "Neither is a decision: write a comment below.")));
}

function noteList(notes) {
  return el("section", { class: "card stack" }, el("h2", {}, "Notes"),
    notes.length ? notes.map((note) => el("div", { class: "note" },
      el("small", {}, el("strong", {}, note.author_name), " · ", when(note.at), note.edited && " · edited"),
      el("div", { class: "prose" }, note.content))) : el("p", { class: "quiet" }, "No notes yet."));
}

/** A comment box; `approve` and `deny` can be put in with one press, sending stays a second one. */
function commentForm(incident) {
  if (!person()?.pagerduty) return el("p", { class: "card quiet" },
    `${person()?.name} has no account here. Choose another person to comment.`);
  const text = el("textarea",
    { rows: 2, id: "comment", placeholder: "approve, or deny and why", "aria-describedby": "comment-hint" });
  const send = async () => {
    if (!text.value.trim()) { text.focus(); return; }
    await act("pagerduty.comment", { incident: incident.id, content: text.value });
    text.value = "";
  };
  const fill = (word) => () => { text.value = word; text.focus(); };
  return el("section", { class: "card stack" },
    el("label", { for: "comment", class: "label" }, `Comment as ${person().name}`), text,
    el("p", { class: "hint", id: "comment-hint" },
      "The whole comment “approve” approves; “deny”, then any words, denies."),
    el("div", { class: "row" }, button("Add comment", send, { class: "primary", id: "add-comment" }),
      button("approve", fill("approve"), { class: "plain" }), button("deny", fill("deny "), { class: "plain" })));
}

/** The newest incident, where the guide leads. */
export function openNewestIncident(as) {
  const newest = incidents().filter(({ status }) => status !== "resolved").at(-1);
  go({ as, view: newest ? `page:${newest.id}` : "page" });
}
