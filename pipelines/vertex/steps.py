"""A compiled pipeline read back: its steps in order, their machines, its runtime parameters.

What is shown to the user comes from here and so from what is sent, not from the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trainer.errors import PlatewiseError

#: Units of memory as the specification writes them, in GB.
_UNITS_GB = {"": 1e-9, "K": 1e-6, "M": 1e-3, "G": 1.0, "T": 1e3}
for _power, _unit in enumerate("KMGT", 1):
    _UNITS_GB[f"{_unit}i"] = 1024**_power * 1e-9
_MEMORY = re.compile(r"(?P<size>[\d.]+)\s*(?P<unit>[KMGT]i?)?B?")


@dataclass(frozen=True)
class Step:
    """One task of the pipeline."""

    name: str
    #: ``container``, or what Vertex does itself: ``resolver``, ``importer``.
    kind: str
    image: str
    #: CPU cores and memory, GB; 0: the specification names none, Vertex takes its default.
    cpu: float
    memory_gb: float
    command: tuple[str, ...]
    arguments: tuple[str, ...]
    after: tuple[str, ...]
    retries: int
    caching: bool
    #: Runs even where steps before it failed.
    always: bool
    #: Constants among the step's parameters.
    parameters: Mapping[str, Any]

    @property
    def beam_arguments(self) -> tuple[str, ...]:
        """Beam pipeline options; empty where the step does not use Beam."""
        at = [i for i, word in enumerate(self.arguments) if word.startswith("--runner=")]
        return self.arguments[at[0] :] if at else ()

    def beam_argument(self, name: str) -> str:
        """Value of one Beam pipeline option; the last one wins, as for Beam."""
        found = [a for a in self.beam_arguments if a.startswith(f"--{name}=")]
        return found[-1].partition("=")[2] if found else ""


@dataclass(frozen=True)
class Parameter:
    """A runtime parameter of the pipeline."""

    name: str
    #: ``STRING``, ``NUMBER_INTEGER``, ``NUMBER_DOUBLE``, ``BOOLEAN``, ``LIST`` or ``STRUCT``.
    type: str
    #: None: it has none.
    default: Any = None
    optional: bool = False


def pipeline_spec(job: Mapping[str, Any]) -> Mapping[str, Any]:
    """The pipeline of a job, or the job itself where it is the bare pipeline.

    Raises
    ------
    PlatewiseError
        It is neither.
    """
    spec = job.get("pipelineSpec", job)
    if not isinstance(spec, Mapping) or "root" not in spec or "deploymentSpec" not in spec:
        raise PlatewiseError("not a compiled pipeline: it has no pipelineSpec (platewise compile)")
    return spec


def read_steps(job: Mapping[str, Any]) -> tuple[Step, ...]:
    """Steps in an order in which each comes after those that it needs."""
    spec = pipeline_spec(job)
    return tuple(_in_dag(spec, spec["root"].get("dag", {})))


def read_parameters(job: Mapping[str, Any]) -> dict[str, Parameter]:
    """Runtime parameters by name."""
    definitions = pipeline_spec(job)["root"].get("inputDefinitions", {}).get("parameters", {})
    return {
        name: Parameter(
            name,
            _TYPES.get(type_ := str(value.get("parameterType") or value.get("type")), type_),
            value.get("defaultValue"),
            bool(value.get("isOptional")),
        )
        for name, value in sorted(definitions.items())
    }


#: Types of schema 2.0.0.
_TYPES = {"INT": "NUMBER_INTEGER", "DOUBLE": "NUMBER_DOUBLE"}


def _in_dag(spec: Mapping[str, Any], dag: Mapping[str, Any]) -> Iterator[Step]:
    tasks = dag.get("tasks", {})
    for name in _ordered(tasks):
        task = tasks[name]
        component = spec.get("components", {}).get(task["componentRef"]["name"], {})
        if "dag" in component:
            yield from _in_dag(spec, component["dag"])
        else:
            label = component.get("executorLabel", "")
            executor = spec["deploymentSpec"].get("executors", {}).get(label, {})
            yield _step(name, task, executor)


def _ordered(tasks: Mapping[str, Any]) -> list[str]:
    """Names of tasks, each after those that it depends on, else by name.

    By name, because the API's messages do not keep the order in which a mapping was written.
    """
    done: list[str] = []
    waiting = sorted(tasks)
    while waiting:
        ready = [n for n in waiting if set(tasks[n].get("dependentTasks", ())) <= set(done)]
        # A cycle cannot run; Vertex says so better than we would.
        done.append((ready or waiting)[0])
        waiting.remove(done[-1])
    return done


def _step(name: str, task: Mapping[str, Any], executor: Mapping[str, Any]) -> Step:
    kind = next(iter(executor), "unknown")
    container = executor.get("container", {})
    resources = container.get("resources", {})
    parameters = task.get("inputs", {}).get("parameters", {})
    return Step(
        name=task.get("taskInfo", {}).get("name", name),
        kind=kind,
        image=container.get("image", ""),
        cpu=float(resources.get("cpuLimit") or resources.get("resourceCpuLimit") or 0),
        memory_gb=_gigabytes(
            resources.get("memoryLimit") or resources.get("resourceMemoryLimit") or 0
        ),
        command=tuple(container.get("command", ())),
        arguments=tuple(container.get("args", ())),
        after=tuple(task.get("dependentTasks", ())),
        retries=int(task.get("retryPolicy", {}).get("maxRetryCount", 0)),
        caching=bool(task.get("cachingOptions", {}).get("enableCache")),
        always=task.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED",
        parameters={
            key: value["runtimeValue"]["constant"]
            for key, value in parameters.items()
            if "constant" in value.get("runtimeValue", {})
        },
    )


def _gigabytes(value: str | float) -> float:
    """GB out of a number, which is GB already, or of text such as ``16G`` or ``64Gi``."""
    if isinstance(value, int | float):
        return float(value)
    found = _MEMORY.fullmatch(value)
    if found is None:
        raise PlatewiseError(f"memory {value!r} is not a size such as 16G")
    return float(found["size"]) * _UNITS_GB[found["unit"] or ""]
