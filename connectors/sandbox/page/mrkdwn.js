// Slack's mrkdwn, drawn as elements. Every piece of text ends in a text node and links are http or https only.

import { el } from "./dom.js";
import { channelName, nameOf } from "./state.js";

const EMOJI = {
  white_check_mark: "✅", heavy_check_mark: "✔️", x: "❌", no_entry: "⛔", no_entry_sign: "🚫", warning: "⚠️",
  hourglass: "⌛", hourglass_flowing_sand: "⏳", lock: "🔒", unlock: "🔓", closed_lock_with_key: "🔐", key: "🔑",
  rotating_light: "🚨", pager: "📟", bell: "🔔", eyes: "👀", information_source: "ℹ️", question: "❓", clock3: "🕒",
  alarm_clock: "⏰", stopwatch: "⏱️", tada: "🎉", robot_face: "🤖", mag: "🔍", memo: "📝", books: "📚", shield: "🛡️",
  bust_in_silhouette: "👤", busts_in_silhouette: "👥", large_green_circle: "🟢", large_yellow_circle: "🟡",
  red_circle: "🔴", white_circle: "⚪", thumbsup: "👍", "+1": "👍", thumbsdown: "👎", "-1": "👎", zap: "⚡", link: "🔗",
};
const INLINE = new RegExp([
  "`(?<code>[^`\\n]+)`",
  "<(?<token>[^<>\\n]+)>",
  "(?<![\\w*])\\*(?<bold>\\S(?:[^\\n*]*\\S)?)\\*(?![\\w*])",
  "(?<![\\w_])_(?<italic>\\S(?:[^\\n_]*\\S)?)_(?![\\w_])",
  "(?<![\\w~])~(?<strike>\\S(?:[^\\n~]*\\S)?)~(?![\\w~])",
  "(?<url>https?://[^\\s<>|`*]+)",
  ":(?<emoji>[a-z0-9_+-]+):",
].join("|"), "g");

/** mrkdwn text as a fragment; `verbatim` leaves bare addresses alone. */
export function mrkdwn(text, { verbatim = false } = {}) {
  const fragment = document.createDocumentFragment();
  String(text ?? "").split(/```([\s\S]*?)```/).forEach((part, index) => {
    if (index % 2) fragment.append(el("pre", {}, decode(part.replace(/^\n|\n$/g, ""))));
    else fragment.append(...quotes(part, verbatim));
  });
  return fragment;
}

/** A Block Kit text object: mrkdwn is parsed, plain_text is not. */
export function textObject(object) {
  if (!object) return "";
  if (typeof object === "string") return object;
  if (object.type === "mrkdwn") return mrkdwn(object.text, { verbatim: object.verbatim === true });
  return object.emoji === false ? object.text : withEmoji(object.text);
}

/** Emoji names as characters, everything else as it is. */
export function withEmoji(text) {
  return String(text ?? "").replace(/:([a-z0-9_+-]+):/g, (whole, name) =>
    (Object.hasOwn(EMOJI, name) ? EMOJI[name] : whole));
}

/** A link that opens apart from this page, or the label as text when the address is not http or https. */
export function link(address, ...label) {
  if (!/^https?:\/\//i.test(address) || !URL.canParse(address)) return el("span", {}, ...label);
  return el("a", { href: address, title: address, target: "_blank", rel: "noopener noreferrer nofollow" }, ...label);
}

/** How a person is mentioned. */
export function mention(slackId) {
  return el("span", { class: "mention" }, `@${nameOf(slackId)}`);
}

/** How a channel is mentioned. */
export function channelMention(id) {
  return el("span", { class: "mention" }, `#${channelName(id)}`);
}

/** A moment in the reader's own zone, in Slack's date format; the fallback when the moment is no number. */
export function moment(seconds, format, fallback = "") {
  const when = new Date(Number(seconds) * 1000);
  if (Number.isNaN(when.getTime())) return el("span", {}, fallback);
  const text = String(format).replace(/\{(\w+)\}/g, (whole, name) =>
    (Object.hasOwn(DATES, name) ? DATES[name](when) : whole));
  return el("time", { datetime: when.toISOString(), title: when.toLocaleString() }, text);
}

const dated = (options) => (when) => new Intl.DateTimeFormat(undefined, options).format(when);
const time = dated({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const short = dated({ year: "numeric", month: "short", day: "numeric" });
const long = dated({ weekday: "long", year: "numeric", month: "long", day: "numeric" });
const middle = dated({ year: "numeric", month: "long", day: "numeric" });
const DATES = {
  date_num: (when) => when.toISOString().slice(0, 10), date: middle, date_short: short, date_long: long,
  date_pretty: middle, date_short_pretty: short, date_long_pretty: long, day_divider_pretty: long, time,
  time_secs: dated({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }),
  ago: (when) => `${short(when)} ${time(when)}`,
};

/** Lines that begin with > become quotations, the others stay as they are. */
function quotes(text, verbatim) {
  const groups = [];
  for (const line of text.split("\n")) {
    const quoted = /^(?:>|&gt;) ?/.exec(line);
    const content = quoted ? line.slice(quoted[0].length) : line;
    const last = groups.at(-1);
    if (last && last.quoted === Boolean(quoted)) last.lines.push(content);
    else groups.push({ quoted: Boolean(quoted), lines: [content] });
  }
  return groups.map(({ quoted, lines }) => {
    const nodes = inline(lines.join("\n"), verbatim);
    return quoted ? el("blockquote", {}, nodes) : el("span", {}, nodes);
  });
}

function inline(text, verbatim) {
  const nodes = [];
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    const piece = element(match.groups, verbatim);
    if (piece === null) continue;
    nodes.push(decode(text.slice(at, match.index)), piece);
    at = match.index + match[0].length;
  }
  nodes.push(decode(text.slice(at)));
  return nodes;
}

function element({ code, token, bold, italic, strike, url, emoji }, verbatim) {
  if (code) return el("code", {}, decode(code));
  if (token) return special(token);
  if (bold) return el("strong", {}, inline(bold, verbatim));
  if (italic) return el("em", {}, inline(italic, verbatim));
  if (strike) return el("s", {}, inline(strike, verbatim));
  if (url) return verbatim ? null : link(decode(url), decode(url));
  return Object.hasOwn(EMOJI, emoji) ? EMOJI[emoji] : null;
}

/** What stands between angle brackets: a mention, a moment, a link; anything else is shown as it was written. */
function special(token) {
  const [target, label] = splitOnce(token, "|");
  if (/^@[UW][A-Z0-9]+$/.test(target)) return mention(target.slice(1));
  if (/^#[CDG][A-Z0-9]+$/.test(target)) return channelMention(target.slice(1));
  if (/^!(here|channel|everyone)$/.test(target)) return el("span", { class: "mention" }, `@${target.slice(1)}`);
  if (target.startsWith("!subteam^")) return el("span", { class: "mention" }, decode(label ?? target.slice(9)));
  if (target.startsWith("!date^")) {
    const [, seconds, format] = target.split("^");
    return moment(seconds, decode(format ?? ""), decode(label ?? ""));
  }
  if (/^https?:\/\//i.test(target)) return link(decode(target), decode(label ?? target));
  return `<${decode(token)}>`;
}

function splitOnce(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function decode(text) {
  const plain = { "&lt;": "<", "&gt;": ">", "&amp;": "&" };
  return text.replace(/&(?:lt|gt|amp);/g, (entity) => plain[entity]);
}
