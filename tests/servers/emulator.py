"""The emulator of Cloud Storage, in memory, on a port of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from gcp_storage_emulator import server


@contextlib.contextmanager
def emulator() -> Iterator[int]:
    """The port of a running emulator."""
    # It sends head and body of an answer apart, and would wait 40 ms for the head to be noticed.
    server.RequestHandler.disable_nagle_algorithm = True
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    running = server.create_server("127.0.0.1", port, in_memory=True)
    running.start()
    try:
        yield port
    finally:
        # It looks every half second whether it is to stop: nobody needs to wait for that.
        threading.Thread(target=running.stop, daemon=True).start()


@contextlib.contextmanager
def emulated_storage() -> Iterator[None]:
    """An emulator whose address is in the environment while it runs."""
    with emulator() as port, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        yield
