"""A local Cloud Storage that can be made to fail: the emulator behind a proxy that injects faults.

The proxy also does what the emulator leaves out and the real service does: it sends the checksum
of an object with its content.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import google_crc32c
from servers.emulator import emulator
from servers.threaded import PromptHandler, QuietServer

_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass
class Fault:
    """What happens to the next requests that it is about."""

    #: Answer with this status; 0: with what follows.
    status: int = 0
    #: Send half of the body, then cut the connection.
    cut: bool = False
    #: Send the body with one bit flipped, and the checksum of what it should be.
    flip: bool = False
    #: Let it through, but cut the connection instead of telling.
    lose_answer: bool = False
    #: Hand on the request's own body with one bit flipped.
    garble_upload: bool = False
    #: Only requests whose ``METHOD /path?query`` has a match; empty: any.
    about: str = ""
    #: How many requests; a negative number: all.
    times: int = 1
    #: Only each n-th of these requests: the one that is tried again gets through.
    every: int = 1
    #: Only the first request for each address.
    once_each: bool = False
    n_seen: int = 0
    seen: set[str] = field(default_factory=set)

    def strikes(self, request: str) -> bool:
        """Whether this request is one of those that fail."""
        if not self.times or not re.search(self.about, request):
            return False
        if self.once_each and request in self.seen:
            return False
        self.seen.add(request)
        self.n_seen += 1
        return self.n_seen % self.every == 0


class GcsServer:
    """Start it with ``with GcsServer() as server``; its address is ``server.endpoint``."""

    def __init__(self) -> None:
        self._emulator = emulator()
        self._emulator_port = 0
        #: ``METHOD /path status``, in order.
        self.log: list[str] = []
        #: Requests that met a fault.
        self.n_faults = 0
        self._faults: list[Fault] = []
        self._finished: dict[str, tuple[int, list[tuple[str, str]], bytes]] = {}
        self._lock = threading.Lock()
        self._http = QuietServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def __enter__(self) -> GcsServer:
        self._emulator_port = self._emulator.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._emulator.__exit__(None, None, None)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def client(self) -> Any:
        """The real client library, on this server."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        return storage.Client(
            "test", AnonymousCredentials(), client_options={"api_endpoint": self.endpoint}
        )

    def fail(self, **how: Any) -> Fault:
        """Inject a fault; see :class:`Fault`."""
        fault = Fault(**how)
        with self._lock:
            self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """Take all faults back."""
        with self._lock:
            self._faults.clear()

    def fault_of(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.strikes(f"{method} {unquote(path)}"):
                    fault.times -= 1
                    self.n_faults += 1
                    return fault
        return None

    def forward(
        self, method: str, path: str, headers: dict[str, str], content: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """The emulator's own answer: status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self._emulator_port, timeout=60)
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            body = response.read()
            kept = [(k, v) for k, v in response.getheaders() if k.lower() not in _HOP_BY_HOP]
            return response.status, kept, body
        finally:
            connection.close()

    def checksum_of(self, path: str, body: bytes, headers: dict[str, str]) -> str:
        """The whole object's crc32c, for the address of its content; empty where it is not one."""
        found = re.search(r"/b/([^/]+)/o/([^/?]+)\?(?:.*&)?alt=media", path)
        if found is None:
            return ""
        part = re.fullmatch(r"bytes 0-(\d+)/(\d+)", headers.get("content-range", ""))
        if "content-range" in headers and not (part and int(part[1]) + 1 == int(part[2])):
            whole = f"/download/storage/v1/b/{found[1]}/o/{found[2]}?alt=media"
            _, _, body = self.forward("GET", whole, {}, b"")
        return crc32c(body)

    def put(
        self, path: str, headers: dict[str, str], content: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """A piece of an upload; a finished one answers again, where the emulator forgets it."""
        upload = re.search(r"upload_id=([^&]+)", path)
        if upload and upload[1] in self._finished:
            return self._finished[upload[1]]
        answer = self.forward("PUT", path, headers, content)
        if upload and answer[0] == 200:
            self._finished[upload[1]] = answer
        return answer


def crc32c(content: bytes) -> str:
    """As the API writes it: base64 of the big-endian bytes."""
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _handler_of(server: GcsServer) -> Callable[..., PromptHandler]:
    class Handler(PromptHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            content = self._content()
            fault = server.fault_of(self.command, self.path)
            if fault and fault.status:
                error = {"error": {"code": fault.status, "message": "injected"}}
                self._answer(fault.status, [], json.dumps(error).encode())
                return
            if fault and fault.garble_upload:
                content = _flipped(content)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
            headers.pop("Host", None)
            if self.command == "PUT":
                status, sent, body = server.put(self.path, headers, content)
            else:
                status, sent, body = server.forward(self.command, self.path, headers, content)
            # The emulator names itself; what follows must come back through here.
            sent = [(k, v.replace(f":{server._emulator_port}", f":{self._port}")) for k, v in sent]
            if any(k.lower() == "content-type" and "json" in v for k, v in sent):
                there, here = f":{server._emulator_port}/", f":{self._port}/"
                body = body.replace(there.encode(), here.encode())
            if self.command == "GET" and status < 300:
                known = {k.lower(): v for k, v in sent}
                checksum = server.checksum_of(self.path, body, known)
                if checksum and "x-goog-hash" not in known:
                    sent.append(("X-Goog-Hash", f"crc32c={checksum}"))
            if fault and fault.lose_answer:
                self._hang_up()
            elif fault and fault.flip and body:
                self._answer(status, sent, _flipped(body))
            else:
                self._answer(status, sent, body, cut=bool(fault and fault.cut))

        @property
        def _port(self) -> int:
            return int(server._http.server_address[1])

        def _content(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)

        def _answer(
            self, status: int, headers: list[tuple[str, str]], body: bytes, cut: bool = False
        ) -> None:
            path = self.path.partition("?")[0]
            server.log.append(f"{self.command} {unquote(path)} {status}{' cut' * cut}")
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                self._hang_up()

        def _hang_up(self) -> None:
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    return Handler
