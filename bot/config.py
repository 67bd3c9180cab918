"""Every setting once: name, default, secrecy and a sentence of help; read from the environment or `.env`."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, PrivateAttr, SecretStr, ValidationError, field_validator
from pydantic.config import JsonDict
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.calendar import next_morning, working
from bot.errors import SettingsError
from bot.source_variables import environment, of_sources

VENDOR_HOSTS = {
    "SLACK_API_URL": ("slack.com",),
    "PAGERDUTY_API_URL": ("api.pagerduty.com", "api.eu.pagerduty.com"),
    "OKTA_ORG_URL": ("okta.com", "oktapreview.com", "okta-emea.com", "okta-gov.com"),
    "OPENAI_BASE_URL": ("api.openai.com", "openai.azure.com"),
    "TINYAPPROVER_HEARTBEAT_URL": ("hc-ping.com",),
    "TINYAPPROVER_EXECUTOR_HEARTBEAT_URL": ("hc-ping.com",),
    "TINYAPPROVER_ANCHOR_URL": ("amazonaws.com",),
    "TINYAPPROVER_CHROMA_URL": ("api.trychroma.com",),
}
LOOPBACK = ("127.0.0.1", "::1", "localhost")
FRONT, EXECUTOR = "front", "executor"
ROLES = (FRONT, EXECUTOR)

Words = Annotated[tuple[str, ...], NoDecode]


def _setting(name: str, help_text: str, default: Any = ..., *, only: str = "", **limits: Any) -> Any:
    """`only` is the role that may know it: the other one's process is not given it and does not read it."""
    mark: JsonDict = {"only": only}
    return Field(default, validation_alias=AliasChoices(name), description=help_text, json_schema_extra=mark, **limits)


class Settings(BaseSettings):
    """What a run needs to know. Field order is the order of the documentation."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", populate_by_name=False
    )

    slack_bot_token: SecretStr = _setting("SLACK_BOT_TOKEN", "Bot token (xoxb-...) of the Slack app.", only=FRONT)
    slack_app_token: SecretStr = _setting(
        "SLACK_APP_TOKEN", "App-level token (xapp-...) with connections:write.", only=FRONT
    )
    slack_api_url: str = _setting("SLACK_API_URL", "Slack's Web API address.", "https://slack.com/api/")
    slack_responder_channel: str = _setting(
        "SLACK_RESPONDER_CHANNEL", "Channel id (C...) where cards are posted.", only=FRONT
    )
    slack_ask_channels: Words = _setting(
        "SLACK_ASK_CHANNELS",
        "Channel ids (C...) where a mention of the bot is answered from the documents, comma separated.",
        (),
        only=FRONT,
    )
    ask_contact: str = _setting(
        "TINYAPPROVER_ASK_CONTACT",
        "Whom to ask what the documents do not answer: a channel id or words. Empty: a button passes it on.",
        "",
    )

    pagerduty_api_key: SecretStr | None = _setting(
        "PAGERDUTY_API_KEY",
        "REST API key. Without it nobody is paged and decisions are taken in Slack only.",
        None,
        only=FRONT,
    )
    pagerduty_api_url: str = _setting("PAGERDUTY_API_URL", "PagerDuty's REST address.", "https://api.pagerduty.com")
    pagerduty_from_email: str = _setting(
        "PAGERDUTY_FROM_EMAIL", "E-mail of the PagerDuty user that the bot writes as: its own, never a responder's.", ""
    )
    pagerduty_service_id: str = _setting("PAGERDUTY_SERVICE_ID", "Service (P...) on which incidents are opened.", "")
    pagerduty_webhook_secrets: Words = _setting(
        "PAGERDUTY_WEBHOOK_SECRETS",
        "Signing secrets of the webhook, comma separated for rotation. Without one, comments are polled.",
        (),
        only=FRONT,
    )

    okta_org_url: str = _setting("OKTA_ORG_URL", "Address of the Okta organisation.")
    okta_api_token: SecretStr = _setting("OKTA_API_TOKEN", "Reader token: users, groups, factors, System Log.")
    okta_write_token: SecretStr = _setting(
        "OKTA_WRITE_TOKEN", "Writer token: group memberships of requestable groups.", only=EXECUTOR
    )
    email_domains: Words = _setting(
        "TINYAPPROVER_EMAIL_DOMAINS",
        "E-mail domains whose people may be linked automatically, comma separated.",
        only=FRONT,
    )

    openai_api_key: SecretStr | None = _setting(
        "OPENAI_API_KEY", "Key of the model's server. Without it requests go out without advice.", None, only=FRONT
    )
    openai_base_url: str = _setting(
        "OPENAI_BASE_URL", "Address of any OpenAI-compatible server.", "https://api.openai.com/v1"
    )
    model: str = _setting("TINYAPPROVER_MODEL", "The model that advises.", "gpt-6-mini")
    embedder: Literal["auto", "openai", "local", "none"] = _setting(
        "TINYAPPROVER_EMBEDDER", "auto, openai, local or none (words alone).", "auto"
    )

    chroma_url: str = _setting(
        "TINYAPPROVER_CHROMA_URL",
        "Address of a Chroma server that keeps the vectors; empty means the data directory, see docs/knowledge.md.",
        "",
    )
    chroma_token: SecretStr | None = _setting(
        "TINYAPPROVER_CHROMA_TOKEN", "Bearer token for it, if it wants one.", None, only=FRONT
    )

    database_url: str = _setting(
        "TINYAPPROVER_DATABASE_URL",
        "postgresql://user:password@host/name, for several replicas; empty means SQLite in the data directory.",
        "",
    )
    data_dir: Path = _setting(
        "TINYAPPROVER_DATA_DIR", "Where the database and the search index are kept.", Path("data")
    )
    policies: Path | None = _setting("TINYAPPROVER_POLICIES", "Directory of the catalogue and guardrails.", None)
    sources: Words = _setting(
        "TINYAPPROVER_SOURCES",
        "Where documents are read from, comma separated; empty means documents, if TINYAPPROVER_DOCUMENTS is set.",
        (),
    )
    documents: Path | None = _setting("TINYAPPROVER_DOCUMENTS", "Folder or git checkout of documents.", None)
    documents_url: str = _setting(
        "TINYAPPROVER_DOCUMENTS_URL", "Address under which the documents are published, for links.", ""
    )

    index_minutes: float = _setting(
        "TINYAPPROVER_INDEX_MINUTES", "Minutes until the documents are read anew while it runs.", 60, gt=0, le=10_080
    )

    anchor_bucket: str = _setting(
        "TINYAPPROVER_ANCHOR_BUCKET",
        "Object-lock bucket that is told the head of the audit trail. Empty: none, see docs/audit.md.",
        "",
    )
    anchor_prefix: str = _setting(
        "TINYAPPROVER_ANCHOR_PREFIX", "Where in the bucket; one prefix for each database.", "tinyapprover/"
    )
    anchor_url: str = _setting(
        "TINYAPPROVER_ANCHOR_URL", "Address of a store that speaks S3's API; empty means Amazon's.", ""
    )
    anchor_days: int = _setting(
        "TINYAPPROVER_ANCHOR_DAYS", "Days for which nobody can remove an anchor.", 400, ge=1, le=3650
    )
    anchor_key_id: str = _setting(
        "TINYAPPROVER_ANCHOR_ACCESS_KEY_ID",
        "Write-only credential for anchors; empty means boto3's own chain.",
        "",
        only=FRONT,
    )
    anchor_key: SecretStr | None = _setting(
        "TINYAPPROVER_ANCHOR_SECRET_ACCESS_KEY", "Secret of the write-only credential.", None, only=FRONT
    )
    anchor_reader_id: str = _setting(
        "TINYAPPROVER_ANCHOR_READ_ACCESS_KEY_ID",
        "Reading credential for `audit verify` and the check at the start; empty means boto3's own chain in `verify` "
        "and no check of the bucket at the start.",
        "",
    )
    anchor_reader_key: SecretStr | None = _setting(
        "TINYAPPROVER_ANCHOR_READ_SECRET_ACCESS_KEY", "Secret of the reading credential.", None
    )
    anchor_channel: str = _setting(
        "TINYAPPROVER_ANCHOR_CHANNEL", "Slack channel id (C...) that is told the same, for people to see.", ""
    )

    http_host: str = _setting("TINYAPPROVER_HTTP_HOST", "Address to listen on for webhooks and health.", "127.0.0.1")
    http_port: int = _setting("TINYAPPROVER_HTTP_PORT", "Port to listen on; 0 takes a free one.", 8080, ge=0, le=65_535)
    evidence_seconds: float = _setting(
        "TINYAPPROVER_EVIDENCE_SECONDS", "Deadline of each source of evidence.", 4.0, gt=0, le=30
    )
    request_hours: float = _setting(
        "TINYAPPROVER_REQUEST_HOURS", "Hours after which an undecided request expires.", 8.0, gt=0, le=720
    )
    morning: str = _setting(
        "TINYAPPROVER_MORNING", "When what can wait is paged, as HH:MM and a time zone.", "09:00 UTC"
    )
    evening: str = _setting(
        "TINYAPPROVER_EVENING", "When working hours end, as HH:MM in the zone of TINYAPPROVER_MORNING.", "17:00"
    )
    remind_minutes: float = _setting(
        "TINYAPPROVER_REMIND_MINUTES", "Minutes without a decision until the channel is reminded.", 15, gt=0, le=10_080
    )
    escalate_minutes: float = _setting(
        "TINYAPPROVER_ESCALATE_MINUTES",
        "Minutes without a decision until the next level is paged, or the first for what pages nobody at once.",
        30,
        gt=0,
        le=10_080,
    )
    warn_minutes: float = _setting(
        "TINYAPPROVER_WARN_MINUTES",
        "Minutes before its end that the holder of access is warned; never before the last quarter of its time.",
        15,
        ge=0,
        le=1440,
    )
    repage_hours: float = _setting(
        "TINYAPPROVER_REPAGE_HOURS", "Hours until overdue access pages somebody again.", 24, gt=0, le=720
    )
    open_requests: int = _setting(
        "TINYAPPROVER_OPEN_REQUESTS", "How many open requests one person may have.", 10, ge=1, le=1000
    )
    requests_an_hour: int = _setting(
        "TINYAPPROVER_REQUESTS_AN_HOUR", "How often one person may ask within an hour.", 20, ge=1, le=10_000
    )
    pages_an_hour: int = _setting(
        "TINYAPPROVER_PAGES_AN_HOUR",
        "Pages an hour for one responder; what comes beyond is listed on one quiet page and paged later.",
        30,
        ge=1,
        le=10_000,
    )
    cool_down_minutes: float = _setting(
        "TINYAPPROVER_COOL_DOWN_MINUTES",
        "Minutes after a denial until the same person may ask for the same again; 0 for none.",
        60,
        ge=0,
        le=10_080,
    )
    heartbeat_url: str = _setting(
        "TINYAPPROVER_HEARTBEAT_URL",
        "Called by the front while Slack reaches it, no job of either role is late, and no page or removal keeps "
        "failing; whoever expects the call should page when it stays away.",
        "",
    )
    executor_heartbeat_url: str = _setting(
        "TINYAPPROVER_EXECUTOR_HEARTBEAT_URL", "The same for the executor, while none of its jobs is late.", ""
    )
    heartbeat_seconds: float = _setting(
        "TINYAPPROVER_HEARTBEAT_SECONDS", "How often the heartbeat addresses are called.", 60.0, gt=0, le=3600
    )
    allowed_hosts: Words = _setting(
        "TINYAPPROVER_ALLOWED_HOSTS", "Further hosts that vendor addresses may name, comma separated.", ()
    )
    clock_url: str = _setting("TINYAPPROVER_CLOCK_URL", "The sandbox's movable clock; sandbox runs only.", "")
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "TINYAPPROVER_LOG", "debug, info, warning or error.", "info"
    )

    _of_sources: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def of_sources(self) -> dict[str, str]:
        """The variables of document sources, which only they understand; none where there is no front."""
        return self._of_sources

    @field_validator(
        "pagerduty_webhook_secrets", "slack_ask_channels", "email_domains", "allowed_hosts", "sources", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value

    @field_validator("email_domains", "allowed_hosts")
    @classmethod
    def _lower(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word.lower().removeprefix("@") for word in value)

    @field_validator("morning")
    @classmethod
    def _is_a_morning(cls, value: str) -> str:
        try:
            next_morning(datetime.now(UTC), value)
        except (ValueError, KeyError, OSError):
            raise ValueError(f"{value!r} is not a time and a zone such as 09:00 Europe/Berlin") from None
        return value

    @field_validator("evening")
    @classmethod
    def _is_an_evening(cls, value: str) -> str:
        try:
            working(datetime.now(UTC), "00:00", value)
        except ValueError:
            raise ValueError(f"{value!r} is not a time such as 17:00") from None
        return value

    @property
    def ledger_url(self) -> str:
        """The database's address: the one that is set, or SQLite in the data directory."""
        return self.database_url or f"sqlite:///{self.data_dir / 'tinyapprover.db'}"


def setting_names() -> dict[str, str]:
    """Field name to the name of its variable."""
    return {field: _alias(info) for field, info in Settings.model_fields.items()}


def _alias(info: Any) -> str:
    return str(info.validation_alias.choices[0])


def roles_of(field: str) -> tuple[str, ...]:
    """Who may know a setting."""
    mark = Settings.model_fields[field].json_schema_extra
    only = mark.get("only") if isinstance(mark, dict) else None
    return (str(only),) if only else ROLES


def withheld(roles: Collection[str]) -> dict[str, Any]:
    """The settings that are not for these roles, by the names of their variables, each with what stands for nothing."""
    fields = Settings.model_fields.items()
    others = [info for field, info in fields if roles_of(field) != ROLES and not set(roles_of(field)) & set(roles)]
    return {_alias(info): "" if info.is_required() else info.default for info in others}


def out_of_place(roles: Collection[str]) -> list[str]:
    """Secrets in this environment that these roles must not know: they read none of them, but somebody else might."""
    fields = Settings.model_fields.values()
    secret = {_alias(info) for info in fields if SecretStr in (info.annotation, *get_args(info.annotation))}
    return sorted(secret & withheld(roles).keys() & os.environ.keys())


def read_settings(*, roles: Collection[str] = ROLES, **override: Any) -> Settings:
    """The settings of this process; `SettingsError` names every variable that is missing or wrong, and the cure.

    What only another role may know stays empty, wherever it is set.
    """
    try:
        settings = Settings(**{**override, **withheld(roles)})
    except ValidationError as problem:
        raise SettingsError("\n".join(_complaints(problem))) from None
    if FRONT in roles:
        settings._of_sources = of_sources({**environment(override.get("_env_file", ".env")), **override})
    return settings


def as_text(value: Any) -> str:
    """A setting as it stands in an environment."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _complaints(problem: ValidationError) -> Iterator[str]:
    names = setting_names()
    help_texts = {_alias(info): info.description for info in Settings.model_fields.values()}
    for error in problem.errors():
        place = str(error["loc"][0]) if error["loc"] else ""
        name = names.get(place, place)
        what = "is not set" if error["type"] == "missing" else _lower_first(error["msg"].removeprefix("Value error, "))
        yield f"{name}: {what}. {help_texts.get(name, '')}".rstrip()


def _lower_first(words: str) -> str:
    return words[:1].lower() + words[1:]


def check_addresses(settings: Settings) -> None:
    """Vendor addresses are the vendors' own, loopback, or allowed; plain http only to loopback."""
    names = setting_names()
    for field, name in names.items():
        if name in VENDOR_HOSTS and (url := str(getattr(settings, field))):
            check_address(name, url, VENDOR_HOSTS[name], settings.allowed_hosts)


def check_address(name: str, url: str, hosts: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    """An address is on the vendor's `hosts`, on this machine, or allowed; else `SettingsError`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise SettingsError(f"{name}: {url!r} is not an address") from None
    host = parts.hostname or ""
    if host in LOOPBACK and parts.scheme in ("http", "https"):
        return
    if parts.scheme != "https":
        raise SettingsError(f"{name}: {url!r} must start with https:// (plain http goes to this machine only)")
    if not any(host == known or host.endswith(f".{known}") for known in (*hosts, *allowed)):
        known = ", ".join(hosts)
        raise SettingsError(
            f"{name}: {host!r} is not one of {known}; add it to TINYAPPROVER_ALLOWED_HOSTS if it is yours"
        )


def path_named_in(variable: str) -> Path | None:
    """A path from the environment alone, for commands that need no other setting."""
    value = os.environ.get(variable)
    return Path(value) if value else None
