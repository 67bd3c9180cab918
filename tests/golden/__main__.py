"""`python -m tests.golden`: write the golden cards again, for a review to look at the difference."""

from __future__ import annotations

from tests.golden import write

write()
