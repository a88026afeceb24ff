"""Send a compiled pipeline to Vertex AI, and, if wanted, follow it to its end."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.commands.common import FAILED, INTERRUPTED
from pipelines.config import PlatewiseConfig
from pipelines.logs import Terminal
from pipelines.vertex.compile import Kind, compile_pipeline
from pipelines.vertex.parameters import parse_values
from pipelines.vertex.request import build_request, console_address
from pipelines.vertex.steps import pipeline_spec, read_parameters
from trainer.errors import PlatewiseError
from trainer.strict import ConfigError

#: Runtime parameter of scoring: folder of the model.
_MODEL = "model_uri"


@dataclass(frozen=True)
class Waiting:
    """How a submitted job is followed."""

    poll_s: float = 15.0
    #: How long to wait for its end, seconds; None: for ever.
    timeout_s: float | None = None
    #: Ctrl-C stops the job too.
    cancel_on_interrupt: bool = False


def load_job(
    spec_file: str | None, config: PlatewiseConfig, kind: Kind, model: str
) -> dict[str, Any]:
    """The compiled pipeline: out of a file, or compiled now.

    Raises
    ------
    ConfigError
        The file cannot be read, or something that only the user knows is not set.
    """
    return read_job(spec_file) if spec_file else compile_pipeline(config, kind, model)


def read_job(file: str | Path) -> dict[str, Any]:
    """A compiled pipeline out of a ``.json`` or ``.yaml`` file.

    Raises
    ------
    ConfigError
        No such file, or it holds no compiled pipeline.
    """
    try:
        text = Path(file).read_text("utf-8")
        if str(file).endswith((".yaml", ".yml")):
            import yaml

            job = yaml.safe_load(text)
        else:
            job = json.loads(text)
        if not isinstance(job, dict):
            raise ValueError("it holds no mapping")
        pipeline_spec(job)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from None
    except (ValueError, PlatewiseError) as error:
        raise ConfigError(f"{file}: {error}") from None
    except Exception as error:
        if type(error).__module__.startswith("yaml"):
            raise ConfigError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from None
        raise
    return job


def make_request(
    job: Mapping[str, Any],
    config: PlatewiseConfig,
    assignments: Sequence[str],
    job_id: str = "",
    cache: bool | None = None,
    model: str = "",
) -> Any:
    """The request of a compiled pipeline with the runtime parameters of the command line.

    Raises
    ------
    ConfigError
        A parameter that the pipeline does not take, or no model to score with.
    """
    declared = read_parameters(job)
    if model and _MODEL not in declared:
        raise ConfigError("--model belongs to --kind scoring; this pipeline trains its own")
    given = [f"{_MODEL}={model}"] if model else []
    values = parse_values([*given, *assignments], declared)
    if _MODEL in declared and not values.get(_MODEL, declared[_MODEL].default):
        raise ConfigError("which model scores? Give --model gs://..., a pushed version's folder")
    return build_request(job, config.vertex, values, job_id, cache)


def submit(
    request: Any, config: PlatewiseConfig, terminal: Terminal, waiting: Waiting | None = None
) -> int:
    """Send a request; print the job's name and its page in the console.

    Returns
    -------
    int
        Exit code: of the job's end where it was waited for, else 0 once Vertex AI has it.
    """
    from pipelines.vertex.service import Service

    service = Service(config.vertex.project, config.vertex.region)
    service.create(request)
    # Vertex AI answers with the project's number; the request has the id that people know.
    name = f"{request.parent}/pipelineJobs/{request.pipeline_job_id}"
    print(name, file=terminal.out)
    print(console_address(name), file=terminal.out, flush=True)
    if config.vertex.experiment:
        _join(service, config.vertex.experiment, name, terminal)
    if waiting is None:
        say(terminal, f"follow it: platewise status {name} --wait")
        return 0
    return wait_for(service, name, terminal, waiting)


def wait_for(
    service: Any,
    name: str,
    terminal: Terminal,
    waiting: Waiting,
    good: Sequence[str] = ("SUCCEEDED",),
) -> int:
    """Follow a job to its end.

    Parameters
    ----------
    good
        Ends that are wanted.

    Returns
    -------
    int
        0: a wanted end; 1: another one, or none in time; 130: Ctrl-C.
    """
    from pipelines.config import terminal_can_redraw
    from pipelines.vertex.status import headline
    from pipelines.vertex.watch import Display, ended, follow, job_state, patient_look

    redraw = terminal.err.isatty() and terminal_can_redraw()
    display = Display(terminal.err, redraw)
    try:
        job = follow(patient_look(service, name), display, waiting.poll_s, waiting.timeout_s)
    except KeyboardInterrupt:
        display.close()
        return _interrupted(service, name, terminal, waiting)
    finally:
        display.close()
    say(terminal, headline(job))
    if not ended(job):
        say(
            terminal,
            f"it goes on; look again: platewise status {name} --wait, or stop it: "
            f"platewise status {name} --cancel",
        )
    error = " ".join(job.error.message.split())
    if error:
        say(terminal, error)
    return 0 if job_state(job) in good else FAILED


def _interrupted(service: Any, name: str, terminal: Terminal, waiting: Waiting) -> int:
    if waiting.cancel_on_interrupt:
        service.cancel(name)
        say(
            terminal,
            f"stopped waiting and asked Vertex AI to cancel the job: platewise status {name}",
        )
    else:
        say(
            terminal,
            "stopped waiting; the job goes on. Look again: "
            f"platewise status {name} --wait, or stop it: platewise status {name} --cancel",
        )
    return INTERRUPTED


def _join(service: Any, experiment: str, name: str, terminal: Terminal) -> None:
    """The run counts, not the list that it stands in: a failure is told, and no more."""
    try:
        service.join_experiment(experiment, name)
    except PlatewiseError as error:
        say(terminal, f"warning: {error}")


def say(terminal: Terminal, text: str) -> None:
    """One line beside the results, which are what scripts read."""
    print(text, file=terminal.err or sys.stderr)
