// Chat: the rooms somebody sees, messages with their cards, what only they see, a composer and the app's shortcuts.

import { drawBlocks } from "./blocks.js";
import { button, el, keyed, part, pending, toast, when } from "./dom.js";
import { mrkdwn, withEmoji } from "./mrkdwn.js";
import { act, person, personBySlackId, store } from "./state.js";
import { given } from "./values.js";

const SHORTCUT = "request_access";
const MESSAGE_SHORTCUT = "request_access_from_message";
const drafts = new Map();
const read = new Map();
const atStart = new Map();

const slack = () => store.vendors.slack ?? {};

/** The channels that the chosen person is in, and their direct messages with the app. */
function rooms() {
  const channels = Object.values(slack().channels ?? {}).filter(({ members }) => members.includes(person()?.slack));
  const dm = slack().dms?.[store.as];
  return { channels, dms: dm ? [{ ...dm, direct: true }] : [] };
}

/** The room list beside the room (or App Home) that `wanted` names; the first channel when they are not in it. */
export function drawChat(root, wanted) {
  rememberStart();
  const { channels, dms } = rooms();
  const all = [...channels, ...dms];
  const id = wanted.split(":").at(-1);
  const room = all.find((each) => each.id === id) ?? (wanted === "home" ? null : all[0]);
  const shown = room ? room.id : "home";
  const fresh = Object.fromEntries(all.map((each) => [each.id, unread(each, each.id === shown)]));
  keyed(root, [
    part("rooms", [channels.map(({ name }) => name), dms.length, shown, fresh, store.as], () =>
      roomList(channels, dms, shown, fresh)),
    part(`room ${shown}`, store.as, () => (room ? roomFrame(room) : homeFrame())),
  ]);
  if (room) fillRoom(root.querySelector(".room"), room);
  else fillHome(root.querySelector(".room"));
}

/** How many messages arrived in a room since this person looked at it, or since the page was opened. */
function unread({ id, messages }, looking) {
  const key = `${store.as}/${id}`;
  if (looking) read.set(key, messages.length);
  return Math.max(0, messages.length - (read.get(key) ?? atStart.get(id) ?? 0));
}

function rememberStart() {
  if (atStart.size) return;
  const all = Object.values({ ...slack().channels, ...slack().dms });
  for (const { id, messages } of all) atStart.set(id, messages.length);
}

function roomList(channels, dms, shown, fresh) {
  const entry = (id, label, view) => el("a", { href: `#as=${store.as}&view=${view}`, "data-focus": id,
    "aria-current": id === shown ? "page" : null }, label,
    fresh[id] > 0 && el("span", { class: "badge", "aria-label": `${fresh[id]} new` }, String(fresh[id])));
  return el("nav", { class: "rooms", "aria-label": "Channels" },
    el("h2", {}, "Channels"),
    channels.map(({ id, name, private: closed }) => entry(id, roomName(name, closed), `channel:${id}`)),
    channels.length === 0 && el("small", {}, "None"),
    el("h2", {}, "TinyApprover"),
    dms.map(({ id }) => entry(id, "Messages", `channel:${id}`)),
    entry("home", "App Home", "home"));
}

function roomName(name, closed) {
  return el("span", {}, `# ${name}`, closed && el("small", {}, " private"));
}

function roomFrame(room) {
  const title = room.direct ? "TinyApprover" : `# ${room.name}`;
  return el("section", { class: "room", "aria-label": title },
    el("div", { class: "room-head" }, el("h1", {}, title),
      el("small", { class: "grow" }, room.direct ? "direct messages" : room.private ? "private" : ""),
      button("Request access", requestAccess, { class: "primary" })),
    el("div", { class: "messages", role: "log", "aria-label": "Messages", tabindex: "0" }), composer(room.id));
}

/** Where somebody writes; Enter sends, Shift and Enter begin a new line. */
function composer(channel) {
  const key = `${store.as}/${channel}`;
  const sendOnEnter = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  };
  const text = el("textarea", {
    rows: 1, "aria-label": "Message", placeholder: "Write a message, or /access and what you need",
    value: drafts.get(key) ?? "", oninput: () => drafts.set(key, text.value), onkeydown: sendOnEnter,
  });
  const send = el("button", { type: "submit" }, "Send");
  const submit = (event) => { event.preventDefault(); pending(send, () => say(channel, text, key)); };
  const form = el("form", { class: "composer", onsubmit: submit }, shortcuts(channel), text, send);
  return form;
}

async function say(channel, field, key) {
  const text = field.value.trim();
  if (!text) return;
  const command = /^(\/\w+)\s*([\s\S]*)$/.exec(text);
  if (command) await act("slack.command", { command: command[1], text: command[2], channel });
  else await act("slack.say", { channel, text });
  field.value = "";
  drafts.delete(key);
}

function shortcuts(channel) {
  const choose = (work) => { menu.open = false; return work(); };
  const menu = el("details", { class: "menu" },
    el("summary", {}, "⚡ Shortcuts"),
    el("div", { class: "menu-items up" },
      button("Request access", () => choose(requestAccess)),
      button("/access", () => choose(() => act("slack.command", { command: "/access", text: "", channel })))));
  return menu;
}

const requestAccess = () => act("slack.shortcut", { callback_id: SHORTCUT });

/** Messages and what only this person sees, in order; stays at the end if the reader was there. */
function fillRoom(frame, room) {
  const list = frame.querySelector(".messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const whispers = (slack().ephemerals?.[store.as] ?? []).filter(({ channel }) => channel === room.id);
  const all = inThreads([...room.messages, ...whispers.map((each) => ({ ...each, whisper: true, bot: true }))]);
  keyed(list, all.length ? all.map((message) =>
    part(`${message.ts}${message.whisper ? "w" : ""}`, message, () => messageNode(message, room)))
    : [part("empty", "", () => el("p", { class: "quiet" }, "Nothing here yet."))]);
  if (atEnd) list.scrollTop = list.scrollHeight;
}

/** By time, replies under the message they answer. */
function inThreads(messages) {
  const sorted = messages.toSorted((a, b) => Number(a.ts) - Number(b.ts));
  const isReply = ({ ts, thread_ts: root }) => Boolean(root) && root !== ts;
  return sorted.filter((each) => !isReply(each) || !sorted.some(({ ts }) => ts === each.thread_ts))
    .flatMap((each) => [each, ...sorted.filter((reply) => isReply(reply) && reply.thread_ts === each.ts)]);
}

function messageNode(message, room) {
  const app = message.bot;
  const author = app ? "TinyApprover" : personBySlackId(message.user)?.name ?? message.user;
  const reply = message.thread_ts && message.thread_ts !== message.ts;
  const blocks = message.blocks?.length
    ? drawBlocks(el("div", { class: "blocks" }), message.blocks, contextOf({ channel: room.id, ts: message.ts }))
    : el("div", { class: "prose" }, mrkdwn(message.text));
  return el("article", { class: `message ${message.whisper ? "mine-only" : ""} ${reply ? "reply" : ""}`,
    "aria-label": `${author}: ${withEmoji(message.text).slice(0, 120)}` },
    el("span", { class: `face ${app ? "app" : ""}`, "aria-hidden": "true" }, initials(author)),
    el("div", { class: "byline" }, el("strong", {}, author), app && el("span", { class: "tag" }, "app"),
      el("small", {}, when(Number(message.ts) * 1000), message.edited && " · edited",
        message.streaming && " · writing…"),
        message.whisper && el("small", {}, "Only visible to you"),
      !app && messageMenu(message, room)),
    el("div", { class: "body" }, blocks));
}

/** What Slack offers on a message of a person: here, to ask for access because of it. */
function messageMenu({ ts }, { id }) {
  const ask = () => {
    menu.open = false;
    return act("slack.message_shortcut", { callback_id: MESSAGE_SHORTCUT, channel: id, ts });
  };
  const menu = el("details", { class: "menu" },
    el("summary", { class: "small", "aria-label": "Message actions" }, "⋯"),
    el("div", { class: "menu-items start" }, button("Request access from this message", ask)));
  return menu;
}

const initials = (name) => name.split(/\s+/).map((word) => word[0]).join("").slice(0, 2).toUpperCase();

/** What a press on a control does: the app hears of it, with the message or view it stands on. */
function contextOf(place, values = {}) {
  const where = (block, element) => ({ ...place, block_id: block.block_id, action_id: element.action_id });
  const chosen = (element, value) => (element.type === "button" ? {} : { option: given(value) });
  return {
    get: (block, element) => values[block.block_id]?.[element.action_id],
    set: (block, element, value) => act("slack.click", { ...where(block, element), ...chosen(element, value) }),
    suggest: (block, element, text) => act("slack.suggest", { ...where(block, element), value: text }),
  };
}

function homeFrame() {
  const frame = el("section", { class: "room", "aria-label": "App Home" },
    el("div", { class: "room-head" }, el("h1", { class: "grow" }, "App Home"),
      button("Request access", requestAccess, { class: "primary" })),
    el("div", { class: "messages" }));
  if (!person()?.deactivated) act("slack.home").catch((problem) => toast(problem.message, "error"));
  return frame;
}

function fillHome(frame) {
  const list = frame.querySelector(".messages");
  const view = slack().homes?.[store.as];
  keyed(list, [view ? { key: "home", signature: "", render: () => el("div", { class: "card blocks" }) }
    : part("empty", "", () => el("p", { class: "quiet" }, "The app has not filled this page yet."))]);
  if (view) drawBlocks(list.firstElementChild, view.blocks, contextOf({ view_id: view.id }, view.state?.values));
}
