"""`python -m tests.golden`: write the golden cards again, for a review to look at the difference."""

from __future__ import annotations

from tests import golden
from tests.golden import answering

golden.write(golden.drawn(), golden.HERE)
golden.write(answering.drawn(), answering.HERE)
