"""The Web API's `auth.test` and `users.*`: the people of the sandbox as Slack describes them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from connectors.sandbox.slack_store import APP_ID, ApiError, Json, Workspace
from connectors.sandbox.world import SandboxPerson

TIME_ZONE = "Europe/Berlin"


def user_json(workspace: Workspace, person: SandboxPerson) -> Json:
    """One person as `users.info` gives them; an account that was deactivated has no roles and no time zone."""
    user: Json = {
        "id": person.slack,
        "team_id": workspace.team_id,
        "name": person.key,
        "deleted": person.deactivated,
        "is_bot": False,
        "is_app_user": False,
        "updated": 0,
        "profile": {
            "real_name": person.name,
            "real_name_normalized": person.name,
            "display_name": person.key,
            "title": person.title,
            "team": workspace.team_id,
            **({"email": person.email} if "users:read.email" in workspace.scopes else {}),
        },
    }
    if person.deactivated:
        return user
    offset = datetime.now(ZoneInfo(TIME_ZONE)).utcoffset()
    return user | {
        "real_name": person.name,
        "tz": TIME_ZONE,
        "tz_offset": int(offset.total_seconds()) if offset else 0,
        "is_admin": False,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": person.guest,
        "is_ultra_restricted": False,
        "is_email_confirmed": True,
        "who_can_share_contact_card": "EVERYONE",
    }


def _bot_json(workspace: Workspace) -> Json:
    return {
        "id": workspace.bot_user,
        "team_id": workspace.team_id,
        "name": workspace.bot_name.lower(),
        "real_name": workspace.bot_name,
        "deleted": False,
        "is_bot": True,
        "is_restricted": False,
        "is_ultra_restricted": False,
        "profile": {"real_name": workspace.bot_name, "bot_id": workspace.bot_id, "api_app_id": APP_ID},
    }


def _auth_test(workspace: Workspace, _args: Json) -> Json:
    place = workspace.world.seed["workspace"]
    return {
        "url": place["url"],
        "team": place["name"],
        "user": workspace.bot_name.lower(),
        "team_id": workspace.team_id,
        "user_id": workspace.bot_user,
        "bot_id": workspace.bot_id,
        "app_id": APP_ID,
        "is_enterprise_install": False,
    }


def _info(workspace: Workspace, args: Json) -> Json:
    user_id = str(args.get("user"))
    if user_id == workspace.bot_user:
        return {"user": _bot_json(workspace)}
    person = workspace.person(user_id)
    if person is None:
        raise ApiError("user_not_found")
    return {"user": user_json(workspace, person)}


PEOPLE_METHODS = {
    "auth.test": (_auth_test, ""),
    "users.info": (_info, "users:read"),
}
