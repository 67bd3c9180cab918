// The blocks that carry text in other forms: rich_text, Markdown and tables.

import { el } from "./dom.js";
import { channelMention, link, mention, moment, textObject, withEmoji } from "./mrkdwn.js";

/** A rich_text block: its elements say what they are, so nothing is parsed. */
export function richText(block) {
  return el("div", { class: "prose rich" }, block.elements.map(richElement));
}

function richElement(element) {
  const parts = () => element.elements.map(richPiece);
  switch (element.type) {
    case "rich_text_list":
      return el(element.style === "ordered" ? "ol" : "ul", { class: `indent-${element.indent ?? 0}` },
        element.elements.map((item) => el("li", {}, richElement(item))));
    case "rich_text_quote": return el("blockquote", {}, parts());
    case "rich_text_preformatted": return el("pre", {}, parts());
    default: return el("div", {}, parts());
  }
}

function richPiece(piece) {
  switch (piece.type) {
    case "link": return styled(link(piece.url, piece.text ?? piece.url), piece.style);
    case "user": return mention(piece.user_id);
    case "channel": return channelMention(piece.channel_id);
    case "emoji": return withEmoji(`:${piece.name}:`);
    case "broadcast": return el("span", { class: "mention" }, `@${piece.range}`);
    case "date": return moment(piece.timestamp, piece.format, piece.fallback);
    default: return styled(piece.text ?? "", piece.style);
  }
}

function styled(content, style = {}) {
  const tags = { code: "code", bold: "strong", italic: "em", strike: "s" };
  return Object.entries(tags).reduce((node, [name, tag]) => (style[name] ? el(tag, {}, node) : node), content);
}

/** A table block: the first row heads the columns. */
export function table(block) {
  const [head = [], ...rows] = block.rows ?? [];
  const cells = (row, tag) => row.map((cell) => el(tag, tag === "th" ? { scope: "col" } : {}, tableCell(cell)));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": block.caption ?? "Table" },
    el("table", {}, block.caption && el("caption", {}, block.caption),
      el("thead", {}, el("tr", {}, cells(head, "th"))),
      el("tbody", {}, rows.map((row) => el("tr", {}, cells(row, "td"))))));
}

function tableCell(cell) {
  if (cell.type === "rich_text") return richText(cell);
  return cell.type?.startsWith("raw_") ? String(cell.text ?? cell.value ?? "") : textObject(cell);
}

const LINE = [
  [/^(#{1,6})\s+(.*)$/, "heading"], [/^\s*[-*+]\s+(.*)$/, "ul"], [/^\s*\d+[.)]\s+(.*)$/, "ol"],
    [/^>\s?(.*)$/, "blockquote"],
];
const SPAN = new RegExp([
  "`(?<code>[^`\\n]+)`",
  "!?\\[(?<label>[^\\]\\n]*)\\]\\((?<address>[^()\\s]+)\\)",
  "\\*\\*(?<bold>[^\\n*]+)\\*\\*",
  "~~(?<strike>[^\\n~]+)~~",
  "(?<![\\w*])\\*(?<italic>[^\\n*]+)\\*(?![\\w*])",
  "(?<![\\w_])_(?<low>[^\\n_]+)_(?![\\w_])",
].join("|"), "g");

/** A markdown block: the common part of Markdown, without any HTML. */
export function markdown(text) {
  const nodes = String(text ?? "").split(/```\w*\n?([\s\S]*?)```/).flatMap((part, index) =>
    (index % 2 ? [el("pre", {}, part)] : paragraphs(part)));
  return el("div", { class: "prose" }, nodes);
}

function paragraphs(text) {
  const nodes = [];
  for (const line of text.split("\n")) {
    const { kind, content, level } = lineKind(line);
    const last = nodes.at(-1);
    if (kind === "heading") nodes.push(el("p",
      { role: "heading", "aria-level": String(Math.min(level + 2, 6)), class: "heading" }, spans(content)));
    else if (kind === "ul" || kind === "ol") listOf(kind, nodes, last).append(el("li", {}, spans(content)));
    else if (kind && last?.localName === kind) last.append("\n", ...spans(content));
    else if (content.trim()) nodes.push(el(kind || "p", {}, spans(content)));
    else if (last) nodes.push(el("span", { class: "gap" }));
  }
  return nodes.filter((node) => node.className !== "gap");
}

function lineKind(line) {
  for (const [pattern, kind] of LINE) {
    const match = pattern.exec(line);
    if (match) return { kind, content: match.at(-1), level: match[1].length };
  }
  return { kind: "", content: line };
}

function listOf(kind, nodes, last) {
  if (last?.localName === kind) return last;
  nodes.push(el(kind));
  return nodes.at(-1);
}

function spans(text) {
  const nodes = [];
  let at = 0;
  for (const match of text.matchAll(SPAN)) {
    const { code, label, address, bold, strike, italic, low } = match.groups;
    nodes.push(withEmoji(text.slice(at, match.index)));
    if (code) nodes.push(el("code", {}, code));
    else if (address) nodes.push(link(address, label || address));
    else if (bold) nodes.push(el("strong", {}, bold));
    else if (strike) nodes.push(el("s", {}, strike));
    else nodes.push(el("em", {}, italic ?? low));
    at = match.index + match[0].length;
  }
  nodes.push(withEmoji(text.slice(at)));
  return nodes;
}
