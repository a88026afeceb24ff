"""A plan as text for people, as wide as the terminal."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.vertex.plan import DEFAULT_CPU, DEFAULT_MEMORY_GB, CostLine, Plan, cores
from pipelines.vertex.push_plan import read_push
from pipelines.vertex.redact import redacted
from pipelines.vertex.steps import Step

_NAMES = 18


def render(plan: Plan, experiment: str = "", width: int = 100) -> str:
    """Who, where, what, on which machines, with which values, and at what cost.

    Parameters
    ----------
    experiment
        Vertex experiment that the run would be listed under.
    width
        Columns of the terminal; values that must be copied whole are never broken.
    """
    sections: list[tuple[str, Iterator[str]]] = [
        ("", _head(plan, experiment, width)),
        ("Images", _images(plan)),
        (f"Steps, each when those it needs are done{_again(plan)}", _steps(plan)),
        ("Beam arguments", _beam(plan, width)),
        ("Training job", _training(plan, width)),
        ("Runtime parameters (--parameter NAME=VALUE)", _parameters(plan, width)),
        ("Model, where it is blessed", _push(plan, width)),
        (f"Cost, US dollars, on demand in {plan.region}", _cost(plan, width)),
    ]
    lines: list[str] = []
    for title, body in sections:
        text = list(body)
        if text:
            lines += ["", title] if title else []
            lines += text
    return "\n".join(lines[0:]) + "\n"


def _head(plan: Plan, experiment: str, width: int) -> Iterator[str]:
    job = plan.job
    yield f"Pipeline {job['pipelineSpec']['pipelineInfo']['name']}, as it would be submitted:"
    labels = ", ".join(f"{k}={v}" for k, v in sorted(job.get("labels", {}).items()))
    cached = sum(step.caching for step in plan.steps)
    rows = [
        ("project", plan.project),
        ("region", plan.region),
        ("job id", plan.request["pipelineJobId"]),
        ("artifacts", job["runtimeConfig"]["gcsOutputDirectory"]),
        ("runs as", job.get("serviceAccount") or "Compute Engine's default service account"),
        ("network", job.get("network") or "none: Google's own, not peered"),
        ("encryption key", job.get("encryptionSpec", {}).get("kmsKeyName") or "Google's"),
        ("experiment", experiment or "none"),
        ("labels", labels or "none"),
        ("cache", f"on for {cached} of {len(plan.steps)} steps" if cached else "off"),
    ]
    for name, value in rows:
        yield from _row(name, redacted(value), width)


def _images(plan: Plan) -> Iterator[str]:
    by_image: dict[str, list[str]] = {}
    for step in plan.steps:
        if step.image:
            by_image.setdefault(step.image, []).append(step.name)
        for image in filter(None, [step.beam_argument("sdk_container_image")]):
            users = by_image.setdefault(image, [])
            if "Beam workers" not in users and image != "unused":
                users.append("Beam workers")
    if plan.training:
        by_image.setdefault(plan.training.config.image, []).append("training job")
    containers = sum(bool(step.image) for step in plan.steps)
    for image, users in by_image.items():
        if not users:
            continue
        steps = [user for user in users if user not in ("Beam workers", "training job")]
        others = [user for user in users if user not in steps]
        who = ["all steps"] if len(steps) == containers and containers > 1 else steps
        yield f"  {redacted(image)}"
        yield f"    {', '.join([*who, *others])}"


def _steps(plan: Plan) -> Iterator[str]:
    column = max((len(s.name) for s in plan.steps if s.kind == "container"), default=0)
    for step in plan.steps:
        if step.kind == "container":
            yield f"  {step.name:<{column}}  {_machine(step):<18}  {_notes(step)}".rstrip()
        else:
            yield f"  {step.name}  ({step.kind}, Vertex AI's own work)"


def _again(plan: Plan) -> str:
    counts = {step.retries for step in plan.steps if step.kind == "container" and not step.always}
    most = max(counts, default=0)
    if not most:
        return ""
    times = "once" if most == 1 else f"{most} times"
    return f"; one that fails is tried again, {'up to ' if len(counts) > 1 else ''}{times}"


def _machine(step: Step) -> str:
    cpu, memory_gb = step.cpu or DEFAULT_CPU, step.memory_gb or DEFAULT_MEMORY_GB
    return f"{cores(cpu):>8}, {memory_gb:>3g} GB"


def _notes(step: Step) -> str:
    notes = []
    runner = step.beam_argument("runner").removesuffix("Runner")
    if runner == "Dataflow":
        most = step.beam_argument("max_num_workers")
        notes.append(f"Dataflow, up to {most} x {step.beam_argument('worker_machine_type')}")
    elif runner:
        notes.append("Beam in the step" if runner == "FnApi" else f"Beam, {runner} runner")
    if step.always:
        notes.append("runs whatever happened before")
    return ", ".join(notes)


def _beam(plan: Plan, width: int) -> Iterator[str]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for step in plan.beam_steps:
        groups.setdefault(step.beam_arguments, []).append(step.name)
    for arguments, names in groups.items():
        yield f"  {', '.join(names)}:"
        for argument in arguments:
            yield f"    {redacted(argument)}"


def _training(plan: Plan, width: int) -> Iterator[str]:
    training = plan.training
    if training is None:
        return
    config = training.config
    rows = [
        ("started by", training.step),
        ("accelerator", f"{config.accelerator}: {training.words}"),
        ("image", config.image),
        ("runs as", training.service_account or "as the pipeline"),
        ("scheduling", " ".join(filter(None, [config.scheduling, config.reservation]))),
        (
            "stops after",
            f"{config.timeout_h:g} h; waits for machines up to {config.max_wait_h:g} h",
        ),
        ("boot disk", f"{config.boot_disk_gb} GB"),
        ("checkpoints", training.checkpoint_root or "none"),
        ("TensorBoard", config.tensorboard or "none"),
    ]
    for name, value in rows:
        yield from _row(name, redacted(value), width)


def _push(plan: Plan, width: int) -> Iterator[str]:
    found = read_push(plan.steps)
    if found is None:
        return
    folder, registry = found
    rows = [("pushed to", folder)]
    if registry.upload:
        rows.append(("registered as", f"a new version of model {registry.model_id}"))
    if registry.endpoint:
        least, most = registry.endpoint_replicas_min, registry.endpoint_replicas_max
        machines = f"{least} to {most} x {registry.endpoint_machine}"
        rows += [
            ("deployed to", registry.endpoint),
            ("machines", f"{machines}, billed until it is undeployed; not in the cost below"),
        ]
    for name, value in rows:
        yield from _row(name, redacted(value), width)


def _parameters(plan: Plan, width: int) -> Iterator[str]:
    column = max([len(name) for name in plan.parameters], default=0)
    for name, parameter in plan.parameters.items():
        given = name in plan.values
        value = plan.values[name] if given else parameter.default
        if isinstance(value, float) and value.is_integer() and parameter.type == "NUMBER_INTEGER":
            value = int(value)  # a Struct holds doubles alone
        shown = redacted({name: value})[name]
        text = "(empty)" if shown == "" else shown if isinstance(shown, str) else json.dumps(shown)
        yield f"  {name:<{column}}  {text}{'  (given)' if given else ''}"


def _cost(plan: Plan, width: int) -> Iterator[str]:
    rows = [_cost_row(line, bool(plan.hours)) for line in plan.costs]
    titles = ["", "", "an hour", "this run"]
    yield from _table([[*row, ""][:4] for row in (titles, *rows)], right=(2, 3))
    yield ""
    for paragraph in _cost_words(plan):
        yield from textwrap.wrap(paragraph, width - 2, initial_indent="  ", subsequent_indent="  ")


def _cost_row(line: CostLine, with_run: bool) -> list[str]:
    an_hour = str(line.cost * line.fewest) if line.step else ""
    if line.most > line.fewest and line.cost.usd is not None:
        an_hour += f" to {line.cost * line.most}"
    run = [str(line.run) if line.run is not None else "unknown"]
    shown = run if with_run or not line.step else []
    return [line.step or "(the run)", line.resource, an_hour, *shown]


def _cost_words(plan: Plan) -> Iterator[str]:
    first, last = plan.prices.dates()
    yield (
        f"List prices of {plan.prices.name}, read between {first} and {last}; the file names the "
        "source and the day of each. Not counted: taxes, discounts, storage, network, logs, and "
        "the data that Dataflow shuffles. Prices of your own: --prices FILE."
    )
    missing = {line.cost.basis for line in plan.costs if line.cost.at_least}
    if missing:
        yield f"≥ where something is missing: {'; '.join(sorted(missing))}."
    unknown = {line.cost.basis for line in plan.costs if line.cost.usd is None}
    if unknown:
        yield f"Unknown: {'; '.join(sorted(unknown))}."
    run = plan.run_cost
    if run is None:
        yield (
            "How long a run takes has not been measured on Vertex AI, so no cost of a run is "
            "given; with hours of your own there is one: --hours STEP=HOURS, for each step."
        )
        return
    given = ", ".join(f"{name} {hours:g} h" for name, hours in plan.hours.items())
    yield (
        f"This run: {run} US dollars, if the hours that you gave hold ({given}) and Dataflow "
        "keeps its most workers busy all that time; of steps without hours nothing is known."
    )


def _row(name: str, value: Any, width: int) -> Iterator[str]:
    """A name and its value, wrapped between words; a single long word is left whole."""
    yield from textwrap.wrap(
        str(value),
        max(width - 1, 40),
        initial_indent=f"  {name:<{_NAMES - 2}}",
        subsequent_indent=" " * _NAMES,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [f"  {name}"]


def _table(rows: Sequence[Sequence[str]], right: Sequence[int]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [
            f"{cell:>{size}}" if i in right else f"{cell:<{size}}"
            for i, (cell, size) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"  {'  '.join(cells)}".rstrip()
