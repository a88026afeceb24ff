"""Errors a user can act on."""

from __future__ import annotations


class PlatewiseError(RuntimeError):
    """Something the user can mend; the message says what was received, where and what to do."""
