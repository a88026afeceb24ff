"""What a submission would send and what it costs: read from the request, nothing else."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.vertex.prices import Cost, PriceTable, total
from pipelines.vertex.request import to_json
from pipelines.vertex.steps import Parameter, Step, read_parameters, read_steps
from pipelines.vertex.training_plan import TrainingPlan, training_plan
from trainer.strict import ConfigError

#: What Vertex AI gives a step whose specification names no machine; Google's page of Vertex AI
#: Pipelines, "Specify machine types for a pipeline step".
DEFAULT_CPU, DEFAULT_MEMORY_GB = 4.0, 16.0


@dataclass(frozen=True)
class CostLine:
    """One resource and what it costs."""

    #: Step that it runs for; empty: the run as a whole.
    step: str
    resource: str
    #: US dollars an hour of one of its kind; of the run's fee: once.
    cost: Cost
    #: Fewest and most of its kind that run side by side.
    fewest: int = 1
    most: int = 1
    #: US dollars for the hours that were given; None: no hours were.
    run: Cost | None = None


@dataclass(frozen=True)
class Plan:
    """Everything that a dry run shows."""

    #: The request as JSON, and so what Vertex AI would get.
    request: dict[str, Any]
    steps: tuple[Step, ...]
    parameters: dict[str, Parameter]
    #: Values that differ from the defaults.
    values: Mapping[str, Any]
    training: TrainingPlan | None
    costs: tuple[CostLine, ...]
    prices: PriceTable
    hours: Mapping[str, float]

    @property
    def job(self) -> dict[str, Any]:
        """The pipeline job of the request."""
        found: dict[str, Any] = self.request["pipelineJob"]
        return found

    @property
    def project(self) -> str:
        """Project of the request."""
        return str(self.request["parent"].split("/")[1])

    @property
    def region(self) -> str:
        """Region of the request."""
        return str(self.request["parent"].split("/")[3])

    @property
    def beam_steps(self) -> list[Step]:
        """Steps that hand their work to a Beam runner."""
        return [step for step in self.steps if step.beam_arguments]

    @property
    def run_cost(self) -> Cost | None:
        """US dollars for the whole run; None where no hours were given."""
        if not self.hours:
            return None
        parts = [line.run for line in self.costs if line.run is not None]
        unknown = [Cost(None) for line in self.costs if line.run is None]
        return total([*parts, *unknown])


def make_plan(request: Any, prices: PriceTable, hours: Mapping[str, float] | None = None) -> Plan:
    """Read a request back.

    Parameters
    ----------
    request
        ``CreatePipelineJobRequest``.
    prices
        The table to estimate with.
    hours
        Hours that each step is expected to take, by step: the user's figures. Without them there
        is a cost an hour, and none of a run.
    """
    message = to_json(request)
    job = message["pipelineJob"]
    steps = read_steps(job)
    region = message["parent"].split("/")[3]
    training = training_plan(steps)
    return Plan(
        request=message,
        steps=steps,
        parameters=read_parameters(job),
        values=job.get("runtimeConfig", {}).get("parameterValues", {}),
        training=training,
        costs=tuple(_cost_lines(steps, training, prices, region, hours or {})),
        prices=prices,
        hours=hours or {},
    )


def parse_hours(assignments: Sequence[str], steps: Sequence[Step]) -> dict[str, float]:
    """``STEP=HOURS`` as given on the command line.

    Raises
    ------
    ConfigError
        Not an assignment, no such step, or no number of hours.
    """
    names = [step.name for step in steps if step.kind == "container"]
    hours: dict[str, float] = {}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(
                f"--hours takes STEP=HOURS; there is no step {name!r}{hint} ({', '.join(names)})"
            )
        try:
            hours[name] = float(text)
        except ValueError:
            hours[name] = -1.0
        if not 0 <= hours[name] < 1e5:
            raise ConfigError(f"--hours {name} takes a number of hours; got {text!r}")
    return hours


def _cost_lines(
    steps: Sequence[Step],
    training: TrainingPlan | None,
    prices: PriceTable,
    region: str,
    hours: Mapping[str, float],
) -> list[CostLine]:
    fee = prices.run(region)
    lines = [CostLine("", "Vertex AI's fee, once", fee, run=fee)]
    for step in steps:
        if step.kind != "container":
            continue
        cpu, memory_gb = step.cpu or DEFAULT_CPU, step.memory_gb or DEFAULT_MEMORY_GB
        cost = prices.step(cpu, memory_gb, region)
        resource = f"{cores(cpu)}, {memory_gb:g} GB"
        if cost.usd is not None:
            resource += f" ({cost.basis})"
        lines.append(_line(step.name, resource, cost, (1, 1), hours))
        if step.beam_argument("runner") == "DataflowRunner":
            lines.append(_dataflow_line(step, prices, region, hours))
        if training and training.step == step.name:
            lines.append(_training_line(training, prices, region, hours))
    return lines


def _dataflow_line(
    step: Step, prices: PriceTable, region: str, hours: Mapping[str, float]
) -> CostLine:
    machine = step.beam_argument("worker_machine_type") or step.beam_argument("machine_type")
    disk_gb = float(step.beam_argument("disk_size_gb") or 0)
    most = int(step.beam_argument("max_num_workers") or 1)
    where = step.beam_argument("region") or region
    cost = prices.dataflow_worker(machine, disk_gb, where)
    resource = f"Dataflow, up to {most} x {machine or 'default machine'}"
    return _line(step.name, resource, cost, (1, most), hours)


def _training_line(
    training: TrainingPlan, prices: PriceTable, region: str, hours: Mapping[str, float]
) -> CostLine:
    cost = prices.machine(
        training.machine_type, training.accelerator_type, training.accelerator_count, region
    )
    if training.config.scheduling != "standard":
        cost = Cost(
            None, f"prices of {training.config.scheduling} machines change and are not listed"
        )
    count = f"{training.hosts} x " if training.hosts > 1 else ""
    resource = f"training on {count}{training.machine_type}"
    return _line(training.step, resource, cost, (training.hosts, training.hosts), hours)


def _line(
    step: str, resource: str, cost: Cost, count: tuple[int, int], hours: Mapping[str, float]
) -> CostLine:
    run = cost * (count[1] * hours[step]) if step in hours else None
    return CostLine(step, resource, cost, *count, run)


def cores(number: float) -> str:
    """A number of cores in words."""
    return f"{number:g} {'core' if number == 1 else 'cores'}"
