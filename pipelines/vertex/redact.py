"""What must not be shown: values that are secret by their name or by their form."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "(hidden)"

_NAMES = r"(?:pass(?:word|wd|phrase)|secret|token|api_?key|private_?key|access_?key|credentials?)"
#: ``--db_password=x``, ``"api_key": "x"``, ``token: x``; also inside JSON within text.
_NAMED = re.compile(
    rf"(?P<name>[\w-]*{_NAMES}[\w-]*(?:\\?[\"'])?\s*[=:]\s*(?:\\?[\"'])?)(?P<value>[^\s\"',}}\\]+)",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
#: Google's API keys and access tokens, private keys, and a user's password in a URL.
_FORMS = re.compile(
    r"AIza[\w-]{30,}|ya29\.[\w-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY-----[^\"]*|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)


def redacted(value: Any) -> Any:
    """The same JSON value with secrets replaced by :data:`HIDDEN`."""
    if isinstance(value, dict):
        return {key: _entry(str(key), part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(part) for part in value]
    if isinstance(value, str):
        return _FORMS.sub(HIDDEN, _NAMED.sub(rf"\g<name>{HIDDEN}", value))
    return value


def _entry(key: str, value: Any) -> Any:
    secret = isinstance(value, str) and value and _SECRET_NAME.search(key)
    return HIDDEN if secret else redacted(value)
