"""The HTTP server that the local services run on, and how it answers."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class QuietServer(ThreadingHTTPServer):
    """A client that goes away (killed in mid-request, say) is nothing to tell; all else is."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class PromptHandler(BaseHTTPRequestHandler):
    """Says nothing, and sends a body at once: by default it waits 40 ms after the head."""

    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        return None
