"""The message of the first error comes through, whatever wraps it."""

from __future__ import annotations

import apache_beam as beam
import pytest

from pipelines.failures import root_cause
from trainer.errors import PlatewiseError
from trainer.strict import ConfigError


def caught(run: object) -> BaseException:
    with pytest.raises(BaseException) as info:
        run()  # type: ignore[operator]
    return info.value


def in_beam(error: Exception, workers: int = 1) -> BaseException:
    def fail(_: int) -> None:
        raise error

    arguments = ["--runner=FnApiRunner", f"--direct_num_workers={workers}"]
    if workers > 1:
        arguments.append("--direct_running_mode=multi_threading")

    def run() -> None:
        with beam.Pipeline(argv=arguments) as pipeline:
            _ = pipeline | beam.Create([1, 2]) | "decode" >> beam.Map(fail)

    return caught(run)


@pytest.mark.parametrize("workers", [1, 2])
def test_error_of_ours_in_a_beam_step(workers: int) -> None:
    text = "shard a/b has 3 bytes where the manifest says 4:\nrun the step that writes it again"
    assert root_cause(in_beam(PlatewiseError(text), workers)) == text


@pytest.mark.parametrize("workers", [1, 2])
def test_foreign_error_in_a_beam_step_keeps_its_type(workers: int) -> None:
    cause = root_cause(in_beam(OSError(28, "No space left on device"), workers))
    assert cause == "OSError: [Errno 28] No space left on device"


def test_error_of_ours_behind_a_foreign_one() -> None:
    def run() -> None:
        try:
            raise ConfigError("screen.path is missing")
        except ConfigError as error:
            raise RuntimeError("executor failed") from error

    assert root_cause(caught(run)) == "screen.path is missing"


def test_suppressed_context_is_not_the_cause() -> None:
    def run() -> None:
        try:
            raise KeyError("inner")
        except KeyError:
            raise PlatewiseError("the folder is empty") from None

    assert root_cause(caught(run)) == "the folder is empty"


def test_error_without_a_message_gives_its_type() -> None:
    assert root_cause(MemoryError()) == "MemoryError"


def test_first_of_several_foreign_errors_is_told() -> None:
    def run() -> None:
        try:
            raise ValueError("bad header")
        except ValueError as error:
            raise RuntimeError("could not read") from error

    assert root_cause(caught(run)) == "ValueError: bad header"
