"""A package's complaint is not the first thing that whoever installs it reads."""

from __future__ import annotations

import subprocess
import sys

UNDONE_BY_ANOTHER_IMPORT = """
import warnings
from bot.logs import set_up
set_up("info")
with warnings.catch_warnings():
    import requests
from urllib3.exceptions import DependencyWarning
warnings.warn("SOCKS support in urllib3 requires PySocks", DependencyWarning)
"""


def test_a_missing_option_of_a_package_is_not_complained_about() -> None:
    done = subprocess.run([sys.executable, "-c", UNDONE_BY_ANOTHER_IMPORT], capture_output=True, text=True, check=True)
    assert done.stderr == ""
