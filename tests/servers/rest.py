"""HTTP requests to the API's own messages, by the API's own table of routes.

The client library holds, for every call, the verb, the address and the message of its request.
This module reads the same table backwards. What does not parse strictly is an error, as it is
at the real service.
"""

from __future__ import annotations

import importlib
import json
import re
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from google.longrunning import operations_pb2
from google.protobuf import json_format

SERVICES = (
    "pipeline_service",
    "job_service",
    "schedule_service",
    "model_service",
    "endpoint_service",
    "metadata_service",
    "tensorboard_service",
)
#: Query parameters that belong to HTTP, not to the message.
_SYSTEM_PARAMETERS = {"$alt", "alt", "$prettyPrint", "key", "prettyPrint"}


class BadRequestError(ValueError):
    """What was sent is not what the API takes."""


class Route(NamedTuple):
    """One call of the API."""

    #: Such as ``CreateCustomJob``.
    rpc: str
    verb: str
    pattern: re.Pattern[str]
    #: Field of the request that the body fills; ``*``: the request itself; empty: no body.
    body: str
    request: type
    #: ``aiplatform_v1`` or ``aiplatform_v1beta1``'s module of messages.
    types: Any


class Call(NamedTuple):
    """A request, understood."""

    rpc: str
    message: Any
    route: Route


def parse(verb: str, target: str, content: bytes) -> Call:
    """Find the call that a request is, and read the request's message.

    Raises
    ------
    LookupError
        The API has no such address.
    BadRequestError
        An unknown field, a value of the wrong type, a body that is no JSON.
    """
    parts = urlsplit(target)
    path = unquote(parts.path)
    version = path.split("/")[1]
    if version == "ui" and "/operations/" in path:
        version = "v1"  # where the REST client asks for operations
        path = path.replace("/ui/", "/v1/", 1)
    if version not in ("v1", "v1beta1"):
        raise LookupError(f"no such version of the API: {path}")
    for route in routes(version):
        match = route.verb == verb and route.pattern.fullmatch(path)
        if match:
            fields = {route_field(k): v for k, v in match.groupdict().items()}
            return Call(route.rpc, _message(route, fields, parts.query, content), route)
    raise LookupError(f"no such method: {verb} {path}")


@cache
def routes(version: str) -> tuple[Route, ...]:
    """Every call of the services that we use, and of long-running operations."""
    types = importlib.import_module(f"google.cloud.aiplatform_{version}.types")
    found = list(_operation_routes(version, types))
    for service in SERVICES:
        module = importlib.import_module(
            f"google.cloud.aiplatform_{version}.services.{service}.transports.rest_base"
        )
        (base,) = (
            value
            for name, value in vars(module).items()
            if name.startswith("_Base") and name.endswith("RestTransport")
        )
        for name, value in vars(base).items():
            rpc = name.removeprefix("_Base")
            request = getattr(types, f"{rpc}Request", None)
            if not name.startswith("_Base") or request is None:
                continue  # locations, IAM policies and the like, which we never call
            for option in value._get_http_options():
                pattern = re.compile(_regex(option["uri"]))
                verb = option["method"].upper()
                found.append(Route(rpc, verb, pattern, option.get("body", ""), request, types))
    return tuple(found)


def _operation_routes(version: str, types: Any) -> list[Route]:
    name = rf"/{version}/(?P<name>.+/operations/[^/:]+)"
    messages = operations_pb2
    return [
        Route("GetOperation", "GET", re.compile(name), "", messages.GetOperationRequest, types),
        Route(
            "CancelOperation",
            "POST",
            re.compile(name + ":cancel"),
            "*",
            messages.CancelOperationRequest,
            types,
        ),
    ]


def _regex(template: str) -> str:
    """``/v1/{name=projects/*/locations/*}:cancel`` as a regular expression.

    A dot cannot be in a group's name: ``custom_job.name`` becomes ``custom_job__dot__name``.
    """
    pieces = re.split(r"(\{[^}]+\})", template)
    return "".join(
        f"(?P<{piece[1:-1].partition('=')[0].replace('.', '__dot__')}>"
        f"{_segments(piece[1:-1].partition('=')[2] or '*')})"
        if piece.startswith("{")
        else re.escape(piece)
        for piece in pieces
    )


def _segments(pattern: str) -> str:
    return re.escape(pattern).replace(r"\*\*", ".+").replace(r"\*", "[^/:]+")


def route_field(group: str) -> str:
    """Inverse of what :func:`_regex` does to a field's name."""
    return group.replace("__dot__", ".")


def _message(route: Route, fields: dict[str, str], query: str, content: bytes) -> Any:
    message = route.request()
    plain = route.request.pb(message) if hasattr(route.request, "pb") else message
    try:
        if route.body:
            body = json.loads(content or b"{}")
            target = plain if route.body == "*" else getattr(plain, route.body)
            json_format.ParseDict(body, target)
            if route.body != "*":
                target.SetInParent()
        elif content and json.loads(content):
            raise BadRequestError(f"{route.rpc} takes no body")
        parameters: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in _SYSTEM_PARAMETERS:
                parameters.setdefault(name, []).append(value)
        for name, values in parameters.items():
            json_format.ParseDict(_nested(plain.DESCRIPTOR, name.split("."), values), plain)
        for name, value in fields.items():
            json_format.ParseDict(_nested(plain.DESCRIPTOR, name.split("."), [value]), plain)
    except (json_format.ParseError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadRequestError(f"Invalid JSON payload received. {error}") from error
    return message


def _nested(descriptor: Any, path: list[str], values: list[str]) -> dict[str, Any]:
    """``a.b=1`` as ``{"a": {"b": "1"}}``; booleans and lists as the field has them."""
    by_json_name = {field.json_name: field for field in descriptor.fields}
    field = descriptor.fields_by_name.get(path[0]) or by_json_name.get(path[0])
    if field is None:
        raise BadRequestError(f"Unknown name {path[0]!r} in {descriptor.full_name}: no such field")
    if len(path) > 1:
        return {path[0]: _nested(field.message_type, path[1:], values)}
    plain: list[Any] = list(values)
    if field.type == field.TYPE_BOOL:
        plain = [{"true": True, "false": False}.get(value, value) for value in values]
    repeated = getattr(field, "is_repeated", None)
    if repeated is None:
        repeated = field.label == field.LABEL_REPEATED
    if not repeated and len(plain) > 1:
        raise BadRequestError(f"{path[0]!r} was given {len(plain)} times")
    return {path[0]: plain if repeated else plain[0]}
