"""A package's complaint is not the first thing that whoever installs it reads."""

from __future__ import annotations

import subprocess
import sys

MUTED_BY_REQUESTS = """
from warnings import warn
from connectors.pagerduty_api import pdpyras_package
pdpyras_package()
from urllib3.exceptions import DependencyWarning
warn("SOCKS support in urllib3 requires PySocks", DependencyWarning)
"""
UNDONE_BY_ANOTHER = """
from contextlib import suppress
from warnings import catch_warnings, warn
from bot.__main__ import main
with suppress(SystemExit):
    main()
with catch_warnings():  # as packages do that are imported on another thread at the same moment
    import requests
from urllib3.exceptions import DependencyWarning
warn("SOCKS support in urllib3 requires PySocks", DependencyWarning)
"""


def what_is_printed_aside(*program: str) -> str:
    return subprocess.run([sys.executable, *program], capture_output=True, text=True, check=True).stderr


def test_what_a_package_mutes_for_itself_stays_muted() -> None:
    assert what_is_printed_aside("-c", MUTED_BY_REQUESTS) == ""


def test_what_an_import_on_another_thread_undoes_is_not_printed_by_a_command() -> None:
    assert what_is_printed_aside("-c", UNDONE_BY_ANOTHER, "--help") == ""


def test_whoever_asks_for_warnings_gets_them() -> None:
    assert "SOCKS support" in what_is_printed_aside("-W", "default", "-c", UNDONE_BY_ANOTHER, "--help")
