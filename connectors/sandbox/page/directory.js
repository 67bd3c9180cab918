// Directory: groups with their members, people with their status, and which memberships changed lately.

import { el, keyed, part, when } from "./dom.js";
import { store } from "./state.js";

const CHANGES_SHOWN = 20;
const CHANGES = {
  "group.user_membership.add": ["good", "added to"],
  "group.user_membership.remove": ["warn", "removed from"],
  "user.lifecycle.deactivate": ["bad", "deactivated"],
};

const okta = () => ({ users: [], groups: [], log: [], ...store.vendors.okta });
const nameOf = (login) => okta().users.find((user) => user.login === login)?.name ?? login;

export function drawDirectory(root) {
  const { users, groups, log } = okta();
  const changes = log.filter(({ event }) => Object.hasOwn(CHANGES, event)).slice(-CHANGES_SHOWN).reverse();
  keyed(root, [
    part("title", "", () => el("h1", {}, "Directory")),
    part("lead", "", () => el("p", { class: "quiet" },
      "Who is in which group now: what was approved shows up here, and goes when its time is up.")),
    part("changes", changes, () => changeList(changes)),
    part("rest", [users, groups], () => el("div", { class: "split" }, groupList(groups), peopleList(users))),
  ]);
}

function changeList(changes) {
  return el("section", { class: "card stack", "aria-labelledby": "changes-title" },
    el("h2", { id: "changes-title" }, "Recent changes"),
    changes.length ? el("ul", { class: "plain-list" }, changes.map(changeLine))
      : el("p", { class: "quiet" }, "No membership changed yet."));
}

function changeLine({ at, event, by, user, group }) {
  const [tone, words] = CHANGES[event];
  return el("li", { class: "row" }, el("span", { class: `tag ${tone}` }, words.split(" ")[0]),
    el("span", {}, el("strong", {}, nameOf(user)), ` ${words} `, group && el("strong", {}, group)),
      el("small", {}, "by ", by, " · ", when(at)));
}

/** Groups with people first: that is where something happened. */
function groupList(groups) {
  const sorted = groups.toSorted((a, b) => (b.members.length > 0) - (a.members.length > 0)
    || a.name.localeCompare(b.name));
  return el("section", { class: "card stack", "aria-labelledby": "groups-title" },
    el("h2", { id: "groups-title" }, "Groups"),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "groups-title" }, el("table", {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Group"), el("th", { scope: "col" }, "Members"))),
      el("tbody", {}, sorted.map(({ name, members, type }) => el("tr", {},
        el("td", {}, el("code", {}, name), type === "APP_GROUP" && el("small", {}, " filled by an application")),
        el("td", {}, members.length
          ? el("div", { class: "chips" }, members.map((login) => el("span", { class: "tag" }, nameOf(login))))
          : el("small", {}, "empty"))))))));
}

function peopleList(users) {
  return el("section", { class: "card stack", "aria-labelledby": "people-title" },
    el("h2", { id: "people-title" }, "People"),
    el("ul", { class: "plain-list" }, users.map(({ name, login, status }) => el("li", { class: "row" },
      el("span", { class: "grow" }, el("strong", {}, name), el("br"), el("small", {}, login)),
      el("span", { class: `tag ${status === "ACTIVE" ? "good" : "bad"}` }, status.toLowerCase())))));
}
