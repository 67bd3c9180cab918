// Demo controls: the clock, faults to play, how the scripted model behaves, and the calls that arrived.

import { button, el, keyed, part, pending, toast } from "./dom.js";
import { act, call, now, refresh, store } from "./state.js";

const STEPS = [["5 minutes", 300], ["1 hour", 3600], ["8 hours", 28800], ["1 day", 86400]];
const FAULT_WORDS = {
  slow: "answers slowly", rate_limit: "too many calls, says when to come back",
  rate_limit_bare: "too many calls, says nothing more",
  maintenance: "is being mended, says when to come back",
  error: "answers with an error", cut: "cuts the line before acting", empty: "answers with nothing",
  html: "answers with a web page",
  lost_answer: "acts, but its answer is lost",
  late: "acts too late, its answer is lost",
};
const MODEL_WORDS = {
  right: "answers as asked", slow: "answers slowly", broken_json: "answers half a document",
  hostile: "was talked over by an attacker",
  fenced: "wraps its answer in prose", duplicate_keys: "contradicts itself", refuses_json_schema: "refuses a schema",
  refuses_formats: "refuses any format", refuses_streams: "refuses to stream", breaks_off: "breaks off in the middle", absent: "is not there",
};
const CALLS_SHOWN = 25;
const READ_EVERY_MS = 2000;
let seen = { faults: [], kinds: [], calls: [] };

/** Move the sandbox's clock forward. */
export async function advance(seconds) {
  await call("POST", "/_sandbox/clock", { advance: seconds });
  await refresh();
  toast(`It is now ${now().toLocaleString()}.`);
}

/** The whole view; faults and calls are read again while it is shown, since a call alone changes no state. */
export function drawControls(root) {
  const vendors = Object.keys(store.vendors).filter((name) => name !== "version");
  keyed(root, [
    part("title", "", () => el("h1", {}, "Demo controls")),
    part("clock", "", clockCard),
    part("faults", [vendors, seen.kinds], () => faultCard(vendors)),
    part("model", store.vendors.openai?.mode ?? null, modelCard),
    part("calls", seen.calls, callCard),
  ]);
  keyed(root.querySelector(".playing"), [part("playing", seen.faults, faultList)]);
  if (root.dataset.reading) return;
  root.dataset.reading = "yes";
  keepReading(root);
}

async function keepReading(root) {
  await readMore(root).catch(() => undefined);
  if (root.isConnected) setTimeout(() => keepReading(root), READ_EVERY_MS);
}

async function readMore(root) {
  const [{ faults, kinds }, calls] = await Promise.all([call("GET", "/_sandbox/faults"), lastCalls()]);
  seen = { faults, kinds, calls };
  if (root.isConnected) drawControls(root);
}

/** The newest calls first; asked for twice, because only the first answer says how many there are. */
async function lastCalls() {
  const { next } = await call("GET", `/_sandbox/calls?since=${Number.MAX_SAFE_INTEGER}`);
  const { calls } = await call("GET", `/_sandbox/calls?since=${Math.max(0, next - CALLS_SHOWN)}`);
  return calls.reverse();
}

function card(id, title, ...content) {
  return el("section", { class: "card stack", "aria-labelledby": `${id}-title` },
    el("h2", { id: `${id}-title` }, title), ...content);
}

function clockCard() {
  return card("clock", "Time", el("p", { class: "big-clock", "data-clock": "" }),
    el("p", { class: "quiet" }, "Access that ends, reminders and expiry follow this clock. It only goes forward."),
    el("div", { class: "row" }, STEPS.map(([label, seconds]) => button(`+ ${label}`, () => advance(seconds)))));
}

function faultCard(vendors) {
  const choose = (name, values, words = {}) =>
    el("select", { name }, values.map((value) => el("option", { value }, words[value] ?? value)));
  const add = el("button", { type: "submit", class: "primary" }, "Add");
  const form = el("form", { class: "form-grid",
    onsubmit: (event) => { event.preventDefault(); pending(add, () => addFault(form)); } },
    el("label", {}, "Vendor", choose("vendor", vendors)),
    el("label", {}, "What happens", choose("kind", seen.kinds, FAULT_WORDS)),
    el("label", {}, "On calls like", el("input", { name: "route", value: "*", required: true, spellcheck: "false" })),
    el("label", {}, "How often", el("input", { name: "times", type: "number", min: 1, max: 1000, value: "1" })), add);
  return card("faults", "Something goes wrong",
    el("p", { class: "quiet" },
      "Let a vendor misbehave, and see that nothing is lost and nobody is told what is not true."),
    form, el("div", { class: "playing" }));
}

function faultList() {
  const waiting = seen.faults.filter(({ times }) => times !== 0);
  if (!waiting.length) return el("p", { class: "quiet" }, "Everything works.");
  return el("div", { class: "stack" },
    el("ul", {}, waiting.map(({ vendor, route, kind, times }) =>
      el("li", {}, `${vendor}: `, el("code", {}, route), ` ${FAULT_WORDS[kind] ?? kind} `,
      el("small", {}, times === null ? "until cleared" : `${times} left`)))),
    el("div", { class: "row" },
      button("Clear all", async () => { await call("DELETE", "/_sandbox/faults"); await reread(); })));
}

async function addFault(form) {
  const { vendor, kind, route, times } = Object.fromEntries(new FormData(form));
  await call("POST", "/_sandbox/faults", { vendor, kind, route, times: Number(times) || 1 });
  await reread();
}

const reread = () => readMore(document.querySelector(".playing").closest(".page"));

function modelCard() {
  const model = store.vendors.openai;
  if (!model) return card("model", "The model", el("p", { class: "quiet" }, "No model is connected to this sandbox."));
  const choose = (event) => pending(event.currentTarget, () => act("openai.mode", { mode: picker.value }));
  const picker = el("select", { id: "model-mode", onchange: choose },
    Object.entries(MODEL_WORDS).map(([mode, words]) =>
      el("option", { value: mode, selected: mode === model.mode }, words)));
  return card("model", "The model",
    el("p", { class: "quiet" },
      "A script that stands in for a model. Whatever it does, people decide and code checks."),
    el("div", { class: "row" }, el("label", { for: "model-mode" }, "The model"), picker));
}

const timeOf = new Intl.DateTimeFormat(undefined,
  { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

function callCard() {
  const rows = seen.calls.map(({ at, vendor, route, status, ms, fault }) => el("tr", {},
    el("td", {}, timeOf.format(new Date(at))), el("td", {}, vendor), el("td", {}, el("code", {}, route)),
    el("td", {}, String(status ?? (fault ? "cut" : "open"))), el("td", {}, `${Math.round(ms)} ms`), el("td", {}, fault)));
  if (!rows.length) return card("calls", "Last calls",
    el("p", { class: "quiet" }, "No calls yet. Start TinyApprover against this sandbox."));
  return card("calls", "Last calls",
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "calls-title" }, el("table", {},
    el("thead", {}, el("tr", {},
      ["Time", "Vendor", "Call", "Status", "Took", "Fault"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows))));
}
