"""From an exception deep inside TFX and Beam to one message that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from trainer.errors import PlatewiseError
from trainer.strict import ConfigError

#: Errors of ours, whose message stands alone; others are shown with their type.
_OURS = (PlatewiseError, ConfigError)

#: Beam's note of the step in which an exception passed.
_STEP = re.compile(r"\s*\[while running '[^']*'\]")

#: A traceback that Beam carried as text: the exception line that ends it.
_RAISED = re.compile(r"^(?P<type>[A-Za-z_][\w.]*(?:Error|Exception|Warning|Diverged|Interrupt)): ")


def root_cause(error: BaseException) -> str:
    """Message of the error that started it all.

    An error of ours anywhere in the chain wins; else the first one raised. What Beam adds
    (tracebacks as text, the names of its steps) is taken off.
    """
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, _OURS) and not _holds_traceback(str(link)):
            return _STEP.sub("", str(link)).strip()
    for link in chain:
        told = _from_text(str(link))
        if told:
            return told
    last = chain[-1]
    message = _STEP.sub("", str(last)).strip()
    return f"{type(last).__name__}: {message}" if message else type(last).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, outermost first."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _holds_traceback(text: str) -> bool:
    return "Traceback (most recent call last)" in text


def _from_text(text: str) -> str | None:
    """Root cause out of a traceback that came as text; None where there is none."""
    if not _holds_traceback(text):
        return None
    raised: list[tuple[str, str]] = []
    block: list[str] | None = None
    for line in text.splitlines():
        found = _RAISED.match(line)
        if found:
            block = [line[found.end() :]]
            raised.append((found["type"], ""))
        elif block is not None and (not line or line.startswith(("Traceback", "During handling"))):
            block = None
        elif block is not None:
            block.append(line)
        if block is not None:
            raised[-1] = (raised[-1][0], "\n".join(block))
    if not raised:
        return None
    ours = [item for item in raised if item[0].startswith(("trainer.", "components."))]
    kind, message = (ours or raised)[0]
    message = _STEP.sub("", message).strip()
    return message if ours else f"{kind.split('.')[-1]}: {message}"
