"""What a project holds: resources by name, lists with filters and pages, operations.

Names are answered with the project's number, as the real service does, whatever the request
called the project.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from google.longrunning import operations_pb2
from google.protobuf import json_format
from google.rpc import status_pb2

#: The number of every project.
PROJECT_NUMBER = "123456789012"
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_CONDITION = re.compile(r"([\w.\-]+)\s*(!=|>=|<=|=|>|<)\s*(\"[^\"]*\"|[^\s\"]+)")


class ApiError(Exception):
    """An error in the words of the API."""

    def __init__(self, code: int, status: str, message: str, details: Any = ()) -> None:
        super().__init__(message)
        self.code, self.status, self.message = code, status, message
        self.details = list(details)


def invalid(message: str) -> ApiError:
    return ApiError(400, "INVALID_ARGUMENT", message)


class Store:
    """Resources (proto-plus messages) by their full name."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.resources: dict[str, Any] = {}
        self.operations: dict[str, operations_pb2.Operation] = {}
        #: Answers to "is it done?" before an operation is.
        self.polls_until_done = 1
        self._polls: dict[str, int] = {}
        self._ids = itertools.count(1_000_000_000_000_000_001)

    def new_id(self) -> str:
        return str(next(self._ids))

    def add(self, parent: str, collection: str, resource: Any, resource_id: str = "") -> Any:
        """Give a resource its name and its times, and keep it."""
        check_labels(resource)
        name = f"{canonical(parent)}/{collection}/{resource_id or self.new_id()}"
        with self.lock:
            if name in self.resources:
                raise ApiError(409, "ALREADY_EXISTS", f"Resource {name} already exists.")
            resource.name = name
            for field in ("create_time", "update_time"):
                if field in resource._meta.fields:
                    setattr(resource, field, timestamp())
            self.resources[name] = resource
        return resource

    def get(self, name: str) -> Any:
        with self.lock:
            try:
                return self.resources[canonical(name)]
            except KeyError:
                raise ApiError(
                    404, "NOT_FOUND", f"The resource {name} could not be found."
                ) from None

    def remove(self, name: str) -> None:
        with self.lock:
            self.get(name)
            del self.resources[canonical(name)]

    def children(self, parent: str, collection: str) -> list[Any]:
        prefix = f"{canonical(parent)}/{collection}/"
        with self.lock:
            return [
                resource
                for name, resource in self.resources.items()
                if name.startswith(prefix) and "/" not in name[len(prefix) :]
            ]

    def page(self, found: list[Any], request: Any) -> tuple[list[Any], str]:
        """What a List call answers: filtered, in order, one page of it."""
        fields = type(request).pb(request).DESCRIPTOR.fields_by_name
        if "filter" in fields:
            found = [resource for resource in found if matches(resource, request.filter)]
        if request.order_by if "order_by" in fields else "":
            for part in reversed(request.order_by.split(",")):
                field, _, direction = part.strip().partition(" ")
                found = sorted(found, key=lambda r, f=field: str(getattr(r, snake(f))))
                if direction == "desc":
                    found.reverse()
        start = int(request.page_token or 0)
        size = request.page_size or 100
        rest = start + size < len(found)
        return found[start : start + size], str(start + size) if rest else ""

    def operation(
        self, parent: str, response: Any, metadata: Any = None, error: ApiError | None = None
    ) -> operations_pb2.Operation:
        """A long-running operation that is done after :attr:`polls_until_done` polls."""
        done = operations_pb2.Operation(name=f"{canonical(parent)}/operations/{self.new_id()}")
        if metadata is not None:
            done.metadata.Pack(type(metadata).pb(metadata))
        with self.lock:
            self.operations[done.name] = done
            self._polls[done.name] = self.polls_until_done
        started = operations_pb2.Operation()
        started.CopyFrom(done)
        if error is not None:
            codes = {400: 3, 403: 7, 404: 5, 409: 6, 429: 8, 503: 14}
            done.error.CopyFrom(
                status_pb2.Status(code=codes.get(error.code, 13), message=error.message)
            )
        elif response is not None:
            plain = response if hasattr(response, "DESCRIPTOR") else type(response).pb(response)
            done.response.Pack(plain)
        done.done = True
        if self._polls[done.name] == 0:
            return done
        return started

    def poll(self, name: str) -> operations_pb2.Operation:
        with self.lock:
            try:
                operation = self.operations[canonical(name)]
            except KeyError:
                raise ApiError(404, "NOT_FOUND", f"Operation {name} could not be found.") from None
            self._polls[operation.name] -= 1
            if self._polls[operation.name] > 0:
                return operations_pb2.Operation(name=operation.name, metadata=operation.metadata)
            return operation


def canonical(name: str) -> str:
    """With the project's number in place of its id."""
    return re.sub(r"^projects/[^/]+", f"projects/{PROJECT_NUMBER}", name)


def timestamp() -> Any:
    from google.protobuf.timestamp_pb2 import Timestamp

    stamp = Timestamp()
    stamp.FromNanoseconds(time.time_ns())
    return stamp


def check_labels(resource: Any) -> None:
    """Labels that the real service would refuse."""
    if "labels" not in resource._meta.fields:
        return
    for key, value in resource.labels.items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise invalid(f"Invalid label: {key!r} = {value!r}")
    if len(resource.labels) > 64:
        raise invalid("More than 64 labels")


def matches(resource: Any, text: str) -> bool:
    """Whether a resource passes a filter: conditions joined by AND; parentheses are not read."""
    text = text.strip()
    if not text:
        return True
    plain = json_format.MessageToDict(type(resource).pb(resource))
    for part in re.split(r"\s+AND\s+", text):
        condition = _CONDITION.fullmatch(part.strip())
        if condition is None:
            raise invalid(f"Invalid filter: {part!r}")
        field, operator, wanted = condition.groups()
        found = _value(plain, field)
        tests: dict[str, Callable[[str, str], bool]] = {
            "=": lambda a, b: a == b or (b.endswith("*") and a.startswith(b[:-1])),
            "!=": lambda a, b: a != b,
            ">": lambda a, b: a > b,
            ">=": lambda a, b: a >= b,
            "<": lambda a, b: a < b,
            "<=": lambda a, b: a <= b,
        }
        if not tests[operator](found, wanted.strip('"')):
            return False
    return True


def _value(plain: dict[str, Any], field: str) -> str:
    value: Any = plain
    for name in field.split("."):
        if not isinstance(value, dict):
            return ""
        value = value.get(name, value.get(camel(name), ""))
    return str(value)


def camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)


def snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
