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


def test_what_a_package_mutes_for_itself_stays_muted() -> None:
    done = subprocess.run([sys.executable, "-c", MUTED_BY_REQUESTS], capture_output=True, text=True, check=True)
    assert done.stderr == ""
