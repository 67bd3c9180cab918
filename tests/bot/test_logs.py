"""Log lines: nothing from outside begins one, and no value that was being stored stands in one."""

from __future__ import annotations

import logging
import sys

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from bot.ledger.engine import open_engine
from bot.logs import Line


def a_record(message: str, **more: object) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": message, "levelname": "WARNING", **more})


def test_a_message_stays_on_its_line() -> None:
    line = Line().format(a_record("no such group\n12:00:00 info request=TA-1 step=grant done\x1b[2J", request="TA-2"))
    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_what_an_exception_says_cannot_look_like_a_line_of_its_own() -> None:
    try:
        raise ValueError("bad\n12:00:00 info request=TA-1 done")
    except ValueError:
        formatted = Line().format(a_record("failed", exc_info=sys.exc_info()))
    first, *rest = formatted.splitlines()
    assert first.endswith("failed")
    assert rest
    assert all(row.startswith("  ") for row in rest)


def test_an_error_of_the_database_tells_no_values() -> None:
    engine = open_engine("sqlite://")
    with engine.connect() as connection, pytest.raises(SQLAlchemyError) as caught:
        connection.execute(text("INSERT INTO nowhere VALUES (:words)"), {"words": "a private reason"})
    engine.dispose()
    assert "a private reason" not in str(caught.value)
