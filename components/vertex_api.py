"""Vertex AI, reached in one way: which address, whose credential, and errors one can read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from trainer.errors import PlatewiseError

#: Address of another server that speaks Vertex AI's REST API, such as ``http://127.0.0.1:8123``:
#: for tests, and for private endpoints. It is called without credentials.
ENDPOINT_VARIABLE = "PLATEWISE_VERTEX_ENDPOINT"

T = TypeVar("T")


class VertexError(PlatewiseError):
    """Something that Vertex AI, or reaching it, refused."""


def connect(project: str, region: str, **init_kwargs: Any) -> Any:
    """Make ready and return the client library, ``google.cloud.aiplatform``.

    Parameters
    ----------
    project, region
        Where resources are made and looked for.
    init_kwargs
        Further arguments of ``aiplatform.init``, such as ``experiment`` or ``staging_bucket``.

    Raises
    ------
    VertexError
        No project or region, or no credential.
    """
    if not project or not region:
        raise VertexError(
            f"vertex.project and vertex.region must be set; got {project!r} and {region!r}"
        )
    from google.cloud import aiplatform

    arguments: dict[str, Any] = {"project": project, "location": region}
    endpoint = os.environ.get(ENDPOINT_VARIABLE)
    if endpoint:
        from google.auth.credentials import AnonymousCredentials

        arguments |= {
            "api_endpoint": endpoint,
            "api_transport": "rest",
            "credentials": AnonymousCredentials(),
        }
    with readable_errors(f"connect to Vertex AI in {project}, {region}"):
        aiplatform.init(**(arguments | init_kwargs))
    return aiplatform


@contextmanager
def readable_errors(doing: str) -> Iterator[None]:
    """Turn what the client library raises into one message.

    Parameters
    ----------
    doing
        What was being done, such as ``submit the pipeline NAME``.

    Raises
    ------
    VertexError
        What was being done, what the API said, and what to do about it.
    """
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from requests import exceptions as http

    try:
        yield
    except VertexError:
        raise
    except (
        api.GoogleAPIError,
        auth.GoogleAuthError,
        http.RequestException,
        TimeoutError,  # an operation that was waited for too long
    ) as error:
        raise VertexError(f"cannot {doing}: {_said(error)}\n{advice(error)}") from error


def attempt(doing: str, call: Callable[[], T], deadline_s: float = 120.0) -> T:
    """Do something that may be repeated, again and again while Vertex AI is not to be had.

    Parameters
    ----------
    doing
        As in :func:`readable_errors`.
    call
        What to do: must do no harm when done twice.
    deadline_s
        How long to go on trying, seconds. Waits between tries grow from 1 s to 20 s.

    Raises
    ------
    VertexError
        As from :func:`readable_errors`; what will not pass by itself at once.
    """
    from google.api_core import exceptions as api
    from google.api_core.retry import Retry, if_exception_type
    from requests import exceptions as http

    transient = if_exception_type(
        api.ServiceUnavailable,
        api.BadGateway,
        api.GatewayTimeout,
        api.InternalServerError,
        api.TooManyRequests,
        http.ConnectionError,
        http.Timeout,
    )
    retry = Retry(
        predicate=lambda error: transient(error) and not _is_quota_of_resources(error),
        initial=1.0,
        maximum=20.0,
        multiplier=2.0,
        timeout=deadline_s,
    )
    with readable_errors(doing):
        return retry(call)()


def advice(error: BaseException) -> str:
    """What to do about an error of the client library."""
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from requests import exceptions as http

    text = str(error).lower()
    for words, what in _BY_TEXT:
        if all(word in text for word in words):
            return what
    if isinstance(error, api.RetryError) and error.cause is not None:
        return advice(error.cause)
    by_kind: tuple[tuple[Any, str], ...] = (
        # InvalidOperation: a 401 where the credential cannot be renewed.
        ((auth.RefreshError, auth.InvalidOperation, api.Unauthorized), _EXPIRED),
        (auth.DefaultCredentialsError, _NO_CREDENTIAL),
        (api.Forbidden, _PERMISSION),
        (api.TooManyRequests, _QUOTA),
        (api.NotFound, _NOT_FOUND),
        (api.Conflict, "Something of that name exists; choose another name or id."),
        (
            api.BadRequest,
            "Correct what the message names in section [vertex] of the config.",
        ),
        (
            (
                api.ServerError,
                api.RetryError,
                auth.TransportError,
                http.RequestException,
                TimeoutError,
            ),
            "The service could not be reached in time; try again, and see "
            "status.cloud.google.com if it lasts.",
        ),
    )
    for kinds, what in by_kind:
        if isinstance(error, kinds):
            return what
    return "See the service's message above."


_NO_CREDENTIAL = (
    "There is no credential: run `gcloud auth application-default login`, or set "
    "GOOGLE_APPLICATION_CREDENTIALS."
)
_EXPIRED = (
    "The credential has expired or is not valid: run `gcloud auth application-default login` again."
)
_PERMISSION = (
    "The permission is missing: give the caller the role in the message (infra/terraform lists "
    "what each service account needs); to start jobs as a service account, the caller needs "
    "roles/iam.serviceAccountUser on it."
)
_QUOTA = (
    "The quota is used up: wait until other jobs are done, choose another machine or region, or "
    "ask for more under IAM & Admin > Quotas."
)
_NOT_FOUND = "Check the name, vertex.project and vertex.region: resources live in one region."

#: Words that an error's text holds (lower case), and what helps; the first row that fits counts.
_BY_TEXT: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("api has not been used",),
        "Enable the API: gcloud services enable aiplatform.googleapis.com (Terraform does it).",
    ),
    (
        ("bucket", "region"),
        "The bucket lies in another region than the job: set vertex.pipeline_root to a bucket in "
        "vertex.region, or vertex.region to the bucket's.",
    ),
    (
        ("bucket", "location"),
        "The bucket lies in another region than the job: set vertex.pipeline_root to a bucket in "
        "vertex.region, or vertex.region to the bucket's.",
    ),
    (
        ("image", "not found"),
        "The image is not there: build and push it first (infra/docker), and compare vertex.image "
        "and vertex.training.image with Artifact Registry.",
    ),
    (
        ("image", "does not exist"),
        "The image is not there: build and push it first (infra/docker), and compare vertex.image "
        "and vertex.training.image with Artifact Registry.",
    ),
    (
        ("artifactregistry",),
        "The job may not read the image: give its service agent roles/artifactregistry.reader on "
        "the repository.",
    ),
)


def _said(error: BaseException) -> str:
    """The service's own words, in one line, with their code."""
    from google.api_core import exceptions as api
    from google.auth.exceptions import InvalidOperation

    if isinstance(error, api.RetryError) and error.cause is not None:
        return f"{_said(error.cause)} (gave up after trying again and again)"
    if isinstance(error, InvalidOperation):  # speaks of our credential's class, not of the 401
        return "the credential was refused, and cannot be renewed (HTTP 401)"
    text = " ".join(str(getattr(error, "message", None) or error).split())
    text = re.sub(r"^(GET|POST|PATCH|PUT|DELETE) https?://\S+: ", "", text)
    code = getattr(error, "code", None)
    number = getattr(code, "value", code)
    return f"{text} (HTTP {number})" if isinstance(number, int) else text


def _is_quota_of_resources(error: BaseException) -> bool:
    """Whether a 429 speaks of machines, which do not come back within minutes."""
    from google.api_core import exceptions as api

    return isinstance(error, api.TooManyRequests) and "quota" in str(error).lower()
