"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("platewise", deadline=None)
hypothesis.settings.load_profile("platewise")

# Tests that run side by side share the cores: in each, TensorFlow would start a thread for all.
n_side_by_side = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if n_side_by_side > 1:
    n_threads = max(1, len(os.sched_getaffinity(0)) // n_side_by_side)
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(n_threads))

# A shell that runs the tests in the background has them ignore Ctrl-C, which some of them send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Local servers under test are plain modules in tests/servers: `from servers.vertex import ...`.
# This gives them a package without putting tests/ (which has folders named like ours) on the path.
if "servers" not in sys.modules:
    sys.modules["servers"] = types.ModuleType("servers")
    sys.modules["servers"].__path__ = [str(Path(__file__).parent / "servers")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the longest tests first: started last, one would run on while the rest is done."""

    def marked(name: str) -> set[Path]:
        return {item.path for item in items if item.get_closest_marker(name)}

    end_to_end, slow = marked("e2e"), marked("slow")
    items.sort(key=lambda item: 0 if item.path in end_to_end else 1 if item.path in slow else 2)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real images and tables, or a skip that says why."""
    value = os.environ.get("PLATEWISE_REAL_DATA")
    if not value or not Path(value).is_dir():
        pytest.skip("PLATEWISE_REAL_DATA is not set: needs the real RxRx1 corner")
    return Path(value)


@pytest.fixture
def vertex_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A local Vertex AI (`servers.vertex.VertexServer`); our code and its subprocesses use it.

    What the server could not parse as the API's own messages fails the test at its end.
    """
    from servers.vertex import VertexServer

    from components.vertex_api import ENDPOINT_VARIABLE

    with VertexServer() as server:
        monkeypatch.setenv(ENDPOINT_VARIABLE, server.endpoint)
        yield server
    assert server.refused == [], f"requests that the API does not take: {server.refused}"


@pytest.fixture
def gcs_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A local Cloud Storage (`servers.gcs.GcsServer`) that can be made to fail.

    The clients try again as they do, but within seconds instead of minutes.
    """
    from apache_beam.io.gcp import gcsio_retry
    from servers.gcs import GcsServer

    retry = gcsio_retry.DEFAULT_RETRY_WITH_THROTTLING_COUNTER
    impatient = retry.with_delay(initial=0.01, maximum=0.2).with_timeout(4.0)
    monkeypatch.setattr(gcsio_retry, "DEFAULT_RETRY_WITH_THROTTLING_COUNTER", impatient)
    with GcsServer() as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.endpoint)
        yield server
