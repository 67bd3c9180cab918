"""What the company has written down, searched by words and meaning."""

from knowledge.embed import Wanted
from knowledge.memory import Knowledge
from knowledge.runs import Summary

__all__ = ["Knowledge", "Summary", "Wanted"]
