"""Objects of a bucket, through the clients of Cloud Storage and of Beam.

What fails for a while is tried again, and content is held against the checksum that the service
keeps. What still fails then is an error of the whole step, never a bad file: a screen would
else come out smaller on a day when the network was bad.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from components.plate_example_gen.storage import FileStat, UnavailableError, too_large

#: Times that content which does not match its checksum is asked for.
_TRIES_OF_CONTENT = 3
#: Up to this size an object is read whole where a stream is asked for: the client asks for no
#: less at a time.
_WHOLE_BYTES = 16 << 20
_STREAM_BUFFER_BYTES = 1 << 20


class BucketStorage:
    """The calls of :class:`components.plate_example_gen.storage.Storage` on ``gs://`` paths."""

    remote = True

    def __init__(self, beam_args: tuple[str, ...]) -> None:
        self._beam_args = beam_args
        self._io: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_beam_args": self._beam_args, "_io": None}  # a client does not travel

    @property
    def io(self) -> Any:
        """One client for all calls: making one each time asks for credentials each time."""
        if self._io is None:
            from apache_beam.io.gcp import gcsio

            with _remote_errors("gs://"):
                self._io = gcsio.GcsIO(self._client(), self._options)
        return self._io

    def _client(self) -> Any:
        """A client; None: as Beam makes one out of its options."""
        from apache_beam.options.pipeline_options import GoogleCloudOptions
        from google.cloud.storage import Client

        if self._options.view_as(GoogleCloudOptions).no_auth:  # Beam heeds it for Dataflow alone
            return Client.create_anonymous_client()
        # Outside Beam's pipelines the ordinary credentials are meant.
        return None if self._beam_args else Client(project=None)

    @property
    def _options(self) -> Any:
        from apache_beam.options.pipeline_options import PipelineOptions

        return PipelineOptions(list(self._beam_args))

    @property
    def _retry(self) -> Any:
        """How long, and how often, Beam's client tries again."""
        from apache_beam.io.gcp import gcsio_retry

        return gcsio_retry.get_retry(self._options)

    def names(self, folder: str) -> set[str]:
        prefix = folder.rstrip("/") + "/"
        paths = [path[len(prefix) :] for path, _ in self._list(prefix)]
        return {name for name in paths if name and "/" not in name}

    def walk(self, folder: str) -> Iterator[tuple[str, list[str]]]:
        names: dict[str, list[str]] = {}
        for path, _ in self._list(folder.rstrip("/") + "/"):
            parent, _, name = path.rpartition("/")
            if name:
                names.setdefault(parent, []).append(name)
        for parent in sorted(names):
            yield parent, sorted(names[parent])

    def walk_stats(self, folder: str) -> Iterator[FileStat]:
        for path, (size, changed) in self._list(folder.rstrip("/") + "/", with_metadata=True):
            yield FileStat(path, size, changed)

    def _list(self, prefix: str, with_metadata: bool = False) -> Iterator[Any]:
        with _remote_errors(prefix):
            yield from self.io.list_files(prefix, with_metadata=with_metadata)

    def read(self, path: str, limit_bytes: int | None = None) -> bytes:
        for _ in range(_TRIES_OF_CONTENT):
            blob = self._blob(path)
            content = self._download(blob, path, limit_bytes)
            if limit_bytes is not None and len(content) > limit_bytes:
                raise too_large(len(content), limit_bytes)
            if blob.crc32c in (None, _crc32c(content)):
                return content
        raise _wrong_checksum(path)

    def _download(self, blob: Any, path: str, limit_bytes: int | None) -> bytes:
        """The content, at most one byte more than the limit; the blob then knows its checksum."""
        from google.api_core.exceptions import RequestRangeNotSatisfiable

        with _remote_errors(path):
            try:
                content = blob.download_as_bytes(
                    end=limit_bytes, raw_download=True, checksum=None, retry=self._retry
                )
            except RequestRangeNotSatisfiable:  # an empty object has no first byte
                content = b""
        return cast(bytes, content)

    def open_read(self, path: str) -> BinaryIO:
        with _remote_errors(path):
            blob = self._blob(path)
            blob.reload(retry=self._retry)
        if blob.size <= _WHOLE_BYTES:  # asked for again where its checksum is wrong
            return io.BytesIO(self.read(path))
        return io.BufferedReader(_Reader(path, blob, self._retry), _STREAM_BUFFER_BYTES)

    def open_write(self, path: str) -> BinaryIO:
        return cast(BinaryIO, _Writer(path, self.io.open(path, "w")))

    def rename(self, source: str, destination: str) -> None:
        with _remote_errors(source):
            self.io.rename(source, destination)

    def remove_file(self, path: str) -> None:
        with _remote_errors(path):
            self.io.delete(path)

    def remove_folder(self, folder: str) -> None:
        with _remote_errors(folder):
            for path in [path for path, _ in self.io.list_files(folder.rstrip("/") + "/")]:
                self.io.delete(path)

    def _blob(self, path: str) -> Any:
        bucket, _, name = path.removeprefix("gs://").partition("/")
        return self.io.client.bucket(bucket).blob(name)


class _Reader(io.RawIOBase):
    """An object's content, held against its checksum when it was read from start to end."""

    def __init__(self, path: str, blob: Any, retry: Any) -> None:
        import google_crc32c

        self._path, self._blob = path, blob
        self._stream = blob.open("rb", raw_download=True, retry=retry)
        self._position = 0
        self._checksum: Any = google_crc32c.Checksum()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = self._stream.seek(offset, whence)
        self._checksum = None
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position >= self._blob.size:  # without asking for bytes that are not there
            return 0
        with _remote_errors(self._path):
            piece = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        self._position += len(piece)
        if self._checksum is not None:
            self._checksum.update(piece)
            if self._position >= self._blob.size and _text(self._checksum) != self._blob.crc32c:
                raise _wrong_checksum(self._path)
        return len(piece)


class _Writer(io.BufferedIOBase):
    """An upload; the object appears, whole, when it is closed."""

    def __init__(self, path: str, stream: Any) -> None:
        self._path, self._stream = path, stream

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        with _remote_errors(self._path):
            return int(self._stream.write(content))

    def close(self) -> None:
        if not self.closed:
            with _remote_errors(self._path):
                self._stream.close()
        super().close()


class _remote_errors:  # noqa: N801  (reads as a statement)
    """Turns what the client library raises into FileNotFoundError or UnavailableError."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from http.client import HTTPException

        from google.api_core import exceptions as api
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
        from requests import RequestException
        from urllib3.exceptions import HTTPError

        if isinstance(error, api.NotFound):
            raise FileNotFoundError(f"no such object: {self._path}") from None
        if isinstance(error, (api.Forbidden, api.Unauthorized, GoogleAuthError)):
            raise UnavailableError(
                f"{self._path} may not be accessed ({_said(error)}): give the caller a role on "
                "the bucket, such as roles/storage.objectUser, or renew the credential with "
                "`gcloud auth application-default login`"
            ) from error
        failures = (
            api.GoogleAPIError,
            DataCorruption,
            InvalidResponse,
            RequestException,
            HTTPError,
            HTTPException,
            ConnectionError,
            TimeoutError,
        )
        if isinstance(error, failures):
            raise UnavailableError(
                f"{self._path}: Cloud Storage did not answer as it should, also when it was "
                f"tried again ({_said(error)}); run this again when the service and the network "
                "are well, and it goes on where it was"
            ) from error


def _said(error: BaseException) -> str:
    cause = getattr(error, "cause", None)
    return f"{type(error).__name__}: {cause or error}"


def _wrong_checksum(path: str) -> UnavailableError:
    return UnavailableError(
        f"{path}: the bytes that arrived are not those that are stored (their crc32c differs); "
        "run this again, and if it stays so, write the object anew"
    )


def _crc32c(content: bytes) -> str:
    import google_crc32c

    return _text(google_crc32c.Checksum(content))


def _text(checksum: Any) -> str:
    """As the API writes it."""
    return base64.b64encode(checksum.digest()).decode()
