// The frame around the views: tabs, who you are, the clock; and which view the address asks for.

import { drawChat } from "./chat.js";
import { drawControls } from "./controls.js";
import { drawDirectory } from "./directory.js";
import { el, keyed, part, toast } from "./dom.js";
import { dismiss, drawGuide } from "./guide.js";
import { drawIncidents, waiting } from "./incident.js";
import { drawModal } from "./modal.js";
import { go, now, person, role, start, store, subscribe } from "./state.js";

const TABS = [["chat", "Chat"], ["page", "Page"], ["directory", "Directory"], ["controls", "Controls"]];
const VIEWS = { page: drawIncidents, directory: drawDirectory, controls: drawControls };
const told = new Map();
const at = (id) => document.getElementById(id);

/** `page:Q01` is the view `page` and the incident `Q01`; every name that is no other view belongs to the chat. */
function route() {
  const [name, ...rest] = store.view.split(":");
  return Object.hasOwn(VIEWS, name) ? { name, rest: rest.join(":") } : { name: "chat", rest: store.view };
}

function draw() {
  const { name, rest } = route();
  drawTabs(name);
  drawWho();
  const label = `${name}/${name === "chat" ? "" : rest}/${store.as}`;
  keyed(at("main"), [part(label, "", () => el("div", { class: name === "chat" ? "chat" : "page stack" }))]);
  const root = at("main").firstElementChild;
  if (name === "chat") drawChat(root, rest);
  else VIEWS[name](root, rest);
  drawModal();
  tellNotices();
  tick();
}

function drawTabs(current) {
  const tabs = TABS.map(([name, label]) => {
    const count = name === "page" ? waiting() : 0;
    return part(name, [name === current, store.as, count], () => tab(name, label, name === current, count));
  });
  keyed(at("tabs"), [...tabs, part("help", "", helpButton)]);
}

function tab(name, label, isCurrent, count) {
  const address = `#as=${store.as}&view=${name === "chat" ? "" : name}`;
  const badge = el("span", { class: "badge", "aria-label": `${count} waiting for you` }, String(count));
  const attributes = { href: address, "data-focus": name, "aria-current": isCurrent ? "page" : null };
  return el("a", attributes, label, count > 0 && badge);
}

function helpButton() {
  const attributes = { type: "button", class: "plain", "aria-label": "First steps", title: "First steps" };
  return el("button", { ...attributes, onclick: toggleGuide }, "?");
}

function toggleGuide() {
  dismiss(at("guide"), !at("guide").hidden);
}

function drawWho() {
  const who = at("who");
  if (who.options.length !== store.people.length) {
    who.replaceChildren(...store.people.map((someone) =>
      el("option", { value: someone.key }, `${someone.name} · ${role(someone)}`)));
  }
  who.value = store.as;
  document.title = `${person()?.name ?? ""} · TinyApprover sandbox`;
}

/** What the chat itself tells the chosen person, such as that the app did not answer: each once, as it arrives. */
function tellNotices() {
  for (const [key, notices] of Object.entries(store.vendors.slack?.notices ?? {})) {
    const known = told.get(key) ?? notices.length;
    told.set(key, notices.length);
    if (key === store.as) notices.slice(known).forEach((words) => toast(words, "error"));
  }
}

function tick() {
  const text = new Intl.DateTimeFormat(undefined,
    { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
    second: "2-digit", hourCycle: "h23" }).format(now());
  at("clock").textContent = store.connected ? text : `${text} · connecting…`;
  for (const node of document.querySelectorAll("[data-clock]")) node.textContent = text;
}

/** Menus close when somebody presses elsewhere, or Escape. */
function closeMenus(event) {
  const pressedIn = event.type === "keydown" ? null : event.target;
  if (event.type === "keydown" && event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(pressedIn)) menu.open = false;
}

document.addEventListener("pointerdown", closeMenus);
document.addEventListener("keydown", closeMenus);
at("who").addEventListener("change", (event) => go({ as: event.currentTarget.value }));
at("skip").addEventListener("click", (event) => { event.preventDefault(); at("main").focus(); });
drawGuide(at("guide"));
subscribe(draw);
setInterval(tick, 1000);
start().catch((problem) => toast(`The sandbox does not answer: ${problem.message}`, "error"));
