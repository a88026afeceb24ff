"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real images and tables, or a skip that says why."""
    value = os.environ.get("PLATEWISE_REAL_DATA")
    if not value or not Path(value).is_dir():
        pytest.skip("PLATEWISE_REAL_DATA is not set: needs the real RxRx1 corner")
    return Path(value)
