"""A local Vertex AI: the parts of its REST API that Platewise uses, on a real HTTP server.

Every request is parsed strictly into the API's own message (:mod:`servers.rest`), logged, and
answered from a store that behaves as the service does: states move on with each look, aliases
belong to one version, operations take a while. Failures can be injected.
"""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format
from google.protobuf.empty_pb2 import Empty
from servers.handlers import Handlers
from servers.jobs import CustomJobRunner, Jobs, State
from servers.rest import BadRequestError, Call, parse
from servers.store import ApiError, Store
from servers.threaded import PromptHandler, QuietServer

#: What the service says with each kind of failure.
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


@dataclass(frozen=True)
class Request:
    """One line of the log."""

    method: str
    #: With the query.
    path: str
    headers: dict[str, str]
    #: Such as ``CreateCustomJob``; empty where the API has no such call.
    rpc: str
    #: The request message; None where it did not parse.
    message: Any
    status: int = 0


@dataclass
class Failure:
    """What the next matching requests get instead of an answer."""

    status: int
    message: str = ""
    #: Only for this call, such as ``CreateCustomJob``; empty: for any.
    rpc: str = ""
    #: How many requests fail.
    times: int = 1
    #: The whole body, where it is not the usual one.
    body: bytes | None = None
    #: Cut the connection without an answer.
    cut: bool = False
    details: list[Any] = field(default_factory=list)


class VertexServer:
    """Start it with ``with VertexServer() as server``; its address is ``server.endpoint``."""

    def __init__(self) -> None:
        self.store = Store()
        self.jobs = Jobs(self.store)
        self.handlers = Handlers(self.store, self.jobs)
        #: Every request, in order.
        self.requests: list[Request] = []
        #: What did not parse: (method and path, why). A good test ends with none.
        self.refused: list[tuple[str, str]] = []
        self._failures: list[Failure] = []
        self._lock = threading.Lock()
        self._http = QuietServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def __enter__(self) -> VertexServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def custom_job_runner(self) -> CustomJobRunner | None:
        """Does the work of custom jobs that are not scripted; else they succeed by themselves."""
        return self.jobs.custom_job_runner

    @custom_job_runner.setter
    def custom_job_runner(self, runner: CustomJobRunner | None) -> None:
        self.jobs.custom_job_runner = runner

    def script(self, collection: str, states: Sequence[State]) -> None:
        """States of the next job of ``pipelineJobs``, ``customJobs``, ``batchPredictionJobs``.

        ``["PENDING"]`` is a job stuck in the queue; ``["RUNNING", ("FAILED", "why")]`` fails.
        """
        self.jobs.script(collection, states)

    def fail_next(self, status: int, message: str = "", **how: Any) -> None:
        """Fail the next request, or ``times`` of them, or those of one ``rpc``; see Failure."""
        with self._lock:
            self._failures.append(Failure(status, message, **how))

    def fail_operation(self, rpc: str, status: int, message: str) -> None:
        """Let the next long-running operation that ``rpc`` starts fail, and do nothing."""
        self.handlers.operation_failures[rpc] = ApiError(
            status, STATUSES.get(status, "UNKNOWN"), message
        )

    def sent(self, rpc: str) -> list[Any]:
        """Request messages of one call that were understood, in order."""
        with self._lock:
            return [r.message for r in self.requests if r.rpc == rpc and r.message is not None]

    def wait_for(self, condition: Callable[[], object], timeout_s: float = 100.0) -> None:
        """Wait until something holds, such as a request having come in."""
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"not within {timeout_s} s; so far: {self.log()}")
            time.sleep(0.01)

    def log(self) -> list[str]:
        """The requests as ``CreateCustomJob 200``."""
        with self._lock:
            return [f"{r.rpc or r.method + ' ' + r.path} {r.status}" for r in self.requests]

    def answer(
        self, method: str, path: str, headers: dict[str, str], content: bytes
    ) -> tuple[int, bytes] | None:
        """Status and body; None: cut the connection."""
        call: Call | None = None
        try:
            call = parse(method, path, content)
            failure = self._failure(call.rpc)
            if failure and failure.cut:
                status, body = 0, b""
            elif failure:
                status = failure.status
                body = failure.body or _error(status, failure.message, failure.details)
            else:
                status, body = 200, _to_json(self.handlers.handle(call))
        except ApiError as error:
            status = error.code
            body = _error(status, error.message, error.details, error.status)
        except (BadRequestError, LookupError, NotImplementedError) as error:
            self.refused.append((f"{method} {path}", str(error)))
            status = 400 if isinstance(error, BadRequestError) else 404
            body = _error(status, str(error))
        except Exception as error:  # noqa: BLE001 - a fault of this server: the test must tell
            self.refused.append((f"{method} {path}", traceback.format_exc()))
            status, body = 501, _error(501, f"the local server failed: {error!r}")
        with self._lock:
            self.requests.append(
                Request(
                    method,
                    path,
                    headers,
                    call.rpc if call else "",
                    call.message if call else None,
                    status,
                )
            )
        return (status, body) if status else None

    def _failure(self, rpc: str) -> Failure | None:
        with self._lock:
            for failure in self._failures:
                if failure.rpc in ("", rpc):
                    failure.times -= 1
                    if failure.times <= 0:
                        self._failures.remove(failure)
                    return failure
        return None


def _to_json(message: Any) -> bytes:
    plain = message if hasattr(message, "DESCRIPTOR") else type(message).pb(message)
    if isinstance(plain, Empty):
        return b"{}"
    return json_format.MessageToJson(plain, use_integers_for_enums=True).encode()


def _error(status: int, message: str, details: Sequence[Any] = (), name: str = "") -> bytes:
    error = {
        "code": status,
        "message": message or STATUSES.get(status, "UNKNOWN"),
        "status": name or STATUSES.get(status, "UNKNOWN"),
        "details": list(details),
    }
    return json.dumps({"error": error}).encode()


def _handler_of(server: VertexServer) -> type[PromptHandler]:
    class Handler(PromptHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = server.answer(self.command, self.path, dict(self.headers), content)
            if answer is None:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve

    return Handler
