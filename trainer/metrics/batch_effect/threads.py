"""How many threads linear algebra may use."""

from __future__ import annotations

import contextlib

#: Up to so many rows a second thread costs more than it brings, and on a shared machine, where
#: the threads wait for each other, ten times more.
MAX_ROWS_ONE_THREAD = 4096


def blas_threads(n_rows: int) -> contextlib.AbstractContextManager[object]:
    """One thread for few rows, all for many; all where threadpoolctl is not installed."""
    if n_rows > MAX_ROWS_ONE_THREAD:
        return contextlib.nullcontext()
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:  # a training machine may lack it; the numbers are the same
        return contextlib.nullcontext()
    return threadpool_limits(limits=1, user_api="blas")
