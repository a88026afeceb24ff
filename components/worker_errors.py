"""An error of ours that happened in a Beam worker, raised as itself."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from trainer.errors import PlatewiseError

# Beam's runners keep the text of a worker's exception and lose its type.
_WORKER_ERROR = re.compile(
    r"^(?:trainer|components)\.[\w.]*Error: (.*?)(?: \[while running .*)?$", re.MULTILINE
)


@contextlib.contextmanager
def worker_errors() -> Iterator[None]:
    """Turn what a Beam runner raises back into the PlatewiseError behind it, if there is one."""
    try:
        yield
    except PlatewiseError:
        raise
    except Exception as error:
        found = _WORKER_ERROR.search(str(error))
        if not found:
            raise
        raise PlatewiseError(found.group(1)) from error
