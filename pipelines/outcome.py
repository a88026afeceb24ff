"""What a run of a pipeline says of its components: events as they come, and how each one ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pipelines.recovery import Distrusted
from trainer.errors import PlatewiseError

State = Literal["started", "run", "cached", "failed"]


@dataclass(frozen=True)
class NodeEvent:
    """A component started or ended."""

    node_id: str
    state: State
    #: Wall-clock time; 0 at the start.
    seconds: float = 0.0
    message: str = ""


OnEvent = Callable[[NodeEvent], None]


@dataclass(frozen=True)
class NodeOutcome:
    """How a component ended, and where its outputs lie."""

    state: State
    seconds: float
    #: Output name -> uri of each artifact.
    outputs: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class RunResult:
    """What a run did."""

    nodes: dict[str, NodeOutcome] = field(default_factory=dict)
    #: Artifacts found damaged before the run, and made anew where it needed them.
    distrusted: list[Distrusted] = field(default_factory=list)
    seconds: float = 0.0

    def uri(self, node_id: str, output: str) -> str:
        """Folder of a component's only artifact under ``output``.

        Raises
        ------
        KeyError
            No such component or output in this run.
        """
        (uri,) = self.nodes[node_id].outputs[output]
        return uri


class ComponentFailed(PlatewiseError):  # noqa: N818 - reads as what it is
    """A component stopped the run."""

    def __init__(self, node_id: str, cause: str, result: RunResult) -> None:
        super().__init__(f"{node_id}: {cause}")
        self.node_id = node_id
        self.cause = cause
        self.result = result
