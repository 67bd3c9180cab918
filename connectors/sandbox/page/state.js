// What the page knows: the people, what each vendor holds, the clock, and the view the address names.

export const store = {
  people: [],
  workspace: {},
  vendors: {},
  clockOffset: 0,
  connected: false,
  as: "alice",
  view: "",
};

const listeners = new Set();
let running = null;
let again = false;

/** Call `listener` after every change; what it throws is not caught. */
export function subscribe(listener) {
  listeners.add(listener);
}

/** Tell everybody who listens. */
export function changed() {
  for (const listener of listeners) listener();
}

/** Load everything once, then follow the sandbox's live channel. */
export async function start() {
  readAddress();
  window.addEventListener("hashchange", () => { readAddress(); changed(); });
  const { people, workspace } = await call("GET", "/_sandbox/people");
  Object.assign(store, { people, workspace });
  if (!person()) store.as = people[0].key;
  await refresh();
  follow();
}

/** Read the vendors' state and the clock again; calls while one runs lead to one more. */
export function refresh() {
  if (running) { again = true; return running; }
  running = read().finally(() => {
    running = null;
    if (again) { again = false; refresh(); }
  });
  return running;
}

async function read() {
  const [vendors, clock] = await Promise.all([call("GET", "/_sandbox/state"), call("GET", "/_sandbox/clock")]);
  store.vendors = vendors;
  store.clockOffset = Date.parse(clock.now) - Date.now();
  changed();
}

function follow() {
  const live = new EventSource("/_sandbox/live");
  const connection = (connected) => () => { store.connected = connected; changed(); };
  live.onopen = connection(true);
  live.onerror = connection(false);
  live.onmessage = () => refresh().catch(() => undefined);
}

/** One request to the sandbox; an answer that is not a success becomes an Error with its reason. */
export async function call(method, path, body) {
  const request = body === undefined ? { method }
    : { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(path, request);
  const answer = await response.json().catch(() => ({ error: `the sandbox answered ${response.status}` }));
  if (!response.ok) throw new Error(answer.error ?? `the sandbox answered ${response.status}`);
  return answer;
}

/** Do something as the chosen person, such as `act("slack.say", {channel, text})`. */
export async function act(verb, args = {}) {
  const answer = await call("POST", "/_sandbox/act", { as: store.as, do: verb, ...args });
  await refresh();
  return answer;
}

/** Show another view or become another person; both stay in the address. */
export function go({ as = store.as, view = store.view }) {
  location.hash = new URLSearchParams({ as, view }).toString().replaceAll("%3A", ":");
}

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  store.as = asked.get("as") ?? store.as;
  store.view = asked.get("view") ?? store.view;
  if (store.people.length && !person()) store.as = store.people[0].key;
}

/** The chosen person. */
export function person() {
  return store.people.find(({ key }) => key === store.as);
}

export const personBySlackId = (id) => store.people.find(({ slack }) => slack === id);

/** How somebody in the chat is called, the app among them, or the id. */
export function nameOf(slackId) {
  const bot = store.vendors.slack?.bot;
  return personBySlackId(slackId)?.name ?? (bot?.user === slackId ? bot.name : slackId);
}

/** The sandbox's time. */
export const now = () => new Date(Date.now() + store.clockOffset);

/** A channel's name by its id, or the id. */
export function channelName(id) {
  return store.vendors.slack?.channels?.[id]?.name ?? id;
}

/** What somebody is in this story, from their entry in people.yml. */
export function role({ deactivated, guest, groups, title }) {
  if (deactivated) return "deactivated";
  if (guest) return "guest";
  if (groups.some((group) => group.endsWith("-approvers"))) return "responds";
  return groups.includes("contractors") ? `${title.toLowerCase()}, does not belong` : "asks";
}
