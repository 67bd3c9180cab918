"""Each setting that is wrong gets one clear line that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import AliasChoices

from bot.config import EXECUTOR, FRONT, ROLES, Settings, check_addresses, out_of_place, read_settings, setting_names
from bot.errors import SettingsError

NEEDED = {
    "SLACK_BOT_TOKEN": "xoxb-sandbox",
    "SLACK_APP_TOKEN": "xapp-sandbox",
    "SLACK_RESPONDER_CHANNEL": "C0ACCESS",
    "OKTA_ORG_URL": "https://example.okta.com",
    "OKTA_API_TOKEN": "sandbox-okta-reader",
    "OKTA_WRITE_TOKEN": "sandbox-okta-writer",
    "TINYAPPROVER_EMAIL_DOMAINS": "example.com",
}


@pytest.fixture(autouse=True)
def nothing_else_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in setting_names().values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def settings(**more: Any) -> Settings:
    return read_settings(**{**NEEDED, **more})


def complaint(**more: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        check_addresses(settings(**more))
    return str(caught.value)


@pytest.mark.parametrize("name", NEEDED)
def test_a_setting_that_is_missing_is_named_with_what_it_is_for(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: is not set. ") as caught:
        read_settings(**{one: value for one, value in NEEDED.items() if one != name})
    assert len(str(caught.value).splitlines()) == 1


def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == list(NEEDED)


def test_a_setting_that_is_left_empty_in_the_file_is_not_set(tmp_path: Path) -> None:
    lines = [f"{name}={value}" for name, value in NEEDED.items() if name != "OKTA_API_TOKEN"]
    (tmp_path / ".env").write_text("\n".join([*lines, "OKTA_API_TOKEN=", "TINYAPPROVER_HTTP_PORT="]))
    with pytest.raises(SettingsError, match=r"\AOKTA_API_TOKEN: is not set\. .*\Z"):
        read_settings()


def test_the_environment_is_stronger_than_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("\n".join(f"{name}={value}" for name, value in NEEDED.items()))
    monkeypatch.setenv("SLACK_RESPONDER_CHANNEL", "C0OTHER")
    assert read_settings().slack_responder_channel == "C0OTHER"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TINYAPPROVER_HTTP_PORT", "eighty"),
        ("TINYAPPROVER_HTTP_PORT", "65536"),
        ("TINYAPPROVER_HTTP_PORT", "-1"),
        ("TINYAPPROVER_EMBEDDER", "big"),
        ("TINYAPPROVER_EVIDENCE_SECONDS", "soon"),
        ("TINYAPPROVER_EVIDENCE_SECONDS", "0"),
        ("TINYAPPROVER_EVIDENCE_SECONDS", "nan"),
        ("TINYAPPROVER_REQUEST_HOURS", "-1"),
        ("TINYAPPROVER_REQUEST_HOURS", "inf"),
        ("TINYAPPROVER_LOG", "loud"),
        ("TINYAPPROVER_MORNING", "25:00 UTC"),
        ("TINYAPPROVER_MORNING", "09:00 Europe/Atlantis"),
        ("TINYAPPROVER_MORNING", "09:00 ../../etc/passwd"),
        ("TINYAPPROVER_MORNING", "early"),
        ("SLACK_API_URL", "http://slack.com/api/"),
        ("SLACK_API_URL", "https://slack.com.evil.example.com/api/"),
        ("SLACK_API_URL", "https://notslack.com/api/"),
        ("SLACK_API_URL", "https://slack.com@evil.example.com/api/"),
        ("SLACK_API_URL", "slack.com"),
        ("SLACK_API_URL", "ftp://slack.com/"),
        ("SLACK_API_URL", "https://[oops/"),
        ("PAGERDUTY_API_URL", "https://api.pagerduty.example.com"),
        ("OKTA_ORG_URL", "https://okta.example.com"),
        ("OKTA_ORG_URL", "http://example.okta.com"),
        ("OKTA_ORG_URL", "https://10.0.0.1"),
        ("OPENAI_BASE_URL", "https://model.example.com/v1"),
        ("OPENAI_BASE_URL", "http://127.0.0.1.nip.example.com/v1"),
    ],
)
def test_a_setting_that_is_wrong_is_one_line_that_names_it(name: str, value: str) -> None:
    said = complaint(**{name: value})
    assert said.startswith(f"{name}: ")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://slack.com/api/",
        "https://SLACK.com/api/",
        "http://127.0.0.1:8765/slack/api/",
        "http://localhost/slack/api/",
        "http://[::1]:8765/slack/api/",
    ],
)
def test_the_vendors_own_address_and_this_machine_are_fine(url: str) -> None:
    check_addresses(settings(SLACK_API_URL=url))


def test_a_host_can_be_allowed_but_not_over_plain_http() -> None:
    check_addresses(settings(OPENAI_BASE_URL="https://model.example.com/v1", TINYAPPROVER_ALLOWED_HOSTS="Example.com"))
    said = complaint(OPENAI_BASE_URL="http://model.example.com/v1", TINYAPPROVER_ALLOWED_HOSTS="example.com")
    assert "must start with https://" in said


def test_no_secret_is_ever_part_of_a_complaint_or_of_the_printed_settings() -> None:
    assert "sandbox-okta-reader" not in repr(settings())
    with pytest.raises(SettingsError) as caught:
        read_settings(**{**NEEDED, "TINYAPPROVER_HTTP_PORT": "x", "OKTA_API_TOKEN": ["sandbox-okta-reader"]})
    assert "sandbox-okta-reader" not in str(caught.value)


def test_lists_are_comma_separated_and_domains_ignore_case() -> None:
    read = settings(TINYAPPROVER_EMAIL_DOMAINS=" Example.com, @example.org ,", PAGERDUTY_WEBHOOK_SECRETS="one, two")
    assert read.email_domains == ("example.com", "example.org")
    assert read.pagerduty_webhook_secrets == ("one", "two")


def test_the_database_is_in_the_data_directory_unless_an_address_says_otherwise() -> None:
    assert settings(TINYAPPROVER_DATA_DIR="/var/lib/x").ledger_url == "sqlite:////var/lib/x/tinyapprover.db"
    assert settings(TINYAPPROVER_DATABASE_URL="postgresql://db/x").ledger_url == "postgresql://db/x"


def test_every_setting_has_a_name_and_a_sentence() -> None:
    for field in Settings.model_fields.values():
        assert isinstance(field.validation_alias, AliasChoices)
        assert str(field.validation_alias.choices[0]).isupper()
        assert str(field.description).endswith(".")


WITHHELD = [
    (FRONT, ["OKTA_WRITE_TOKEN"]),
    (
        EXECUTOR,
        ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "PAGERDUTY_API_KEY", "PAGERDUTY_WEBHOOK_SECRETS", "OPENAI_API_KEY"],
    ),
]


@pytest.mark.parametrize(("role", "names"), WITHHELD)
def test_a_role_does_not_read_the_credentials_of_the_other(role: str, names: list[str], tmp_path: Path) -> None:
    secrets = {**NEEDED, "PAGERDUTY_API_KEY": "pd-secret", "PAGERDUTY_WEBHOOK_SECRETS": "hook", "OPENAI_API_KEY": "sk"}
    (tmp_path / ".env").write_text("\n".join(f"{name}={value}" for name, value in secrets.items()))
    read = read_settings(roles=[role])
    values = {name: getattr(read, field) for field, name in setting_names().items()}
    for name in names:
        secret = getattr(values[name], "get_secret_value", lambda found=values[name]: found)()
        assert not secret, name


@pytest.mark.parametrize(("role", "names"), WITHHELD)
def test_a_role_does_not_need_what_it_may_not_read(role: str, names: list[str]) -> None:
    read_settings(roles=[role], **{name: value for name, value in NEEDED.items() if name not in names})


def test_a_secret_of_the_other_role_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    assert out_of_place([FRONT]) == ["OKTA_WRITE_TOKEN"]
    assert out_of_place([EXECUTOR]) == ["SLACK_APP_TOKEN", "SLACK_BOT_TOKEN"]
    assert out_of_place(ROLES) == []
