"""Unix sockets by paths of any length, for our own user alone."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST = 100  # bytes of a path; the kernel takes 107, others fewer


@contextmanager
def name_of(path: Path) -> Iterator[str]:
    """A name by which a socket's call finds `path` while the context lasts: a long one through its folder."""
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path, *, private: Path) -> socket.socket:
    """Listen at `path`, in place of a socket that a killed process left there.

    It is made in the `private` folder, so that nobody else can reach it before it is for our user alone.
    """
    fresh = private / ".socket"
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        with name_of(fresh) as name:
            listener.bind(name)
        fresh.chmod(0o600)
        fresh.replace(path)
    except OSError:
        listener.close()
        raise
    return listener


def is_listening(path: Path) -> bool:
    """Whether anybody is there. `PermissionError` when it is somebody else's."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            with name_of(path) as name:
                probe.connect(name)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return False
    return True
