"""What Alembic runs for every command: on the connection it is given, in the transaction that is open there."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import TypeDecorator

from bot.ledger import tables


def _render_plainly(kind: str, thing: Any, _context: Any) -> str | Literal[False]:
    """A migration must not change when our own types do: it names what they are kept as."""
    if kind == "type" and isinstance(thing, TypeDecorator):
        return f"sa.{thing.impl!r}"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    render_as_batch=True,
    render_item=_render_plainly,
)
with context.begin_transaction():
    context.run_migrations()
