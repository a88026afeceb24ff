"""What TFX's compiler leaves out of a specification and the format has room for."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pipelines.vertex.config import VertexConfig

#: Component that holds every task but the exit handler; TFX's name.
_DAG = "tfx-dag"
_DRIVER = ("python", "-m", "components.plate_example_gen.driver")
#: The step whose cache key has to know of changed files.
_EXAMPLE_GEN = "PlateExampleGen"
#: TFX gives the executor's class, the invocation and the inputs, two words each, then Beam's.
_OWN_ARGS = 6
_BACKOFF_FACTOR = 2.0
_LONGEST_WAIT = "3600s"

#: Meaning of every runtime parameter, for the console's form.
DESCRIPTIONS = {
    "screen_root": "Folder of the screen, gs://bucket/prefix.",
    "train_experiments": "Experiments that train, with commas between; empty: as configured, or "
    "all that eval_experiments leaves.",
    "eval_experiments": "Experiments held out, with commas between; empty: as configured.",
    "normalizer_method": "How plates are normalised, such as plate_mean_std.",
    "model_preset": "tiny, base or full.",
    "epochs": "Times that training sees every site; 0: as configured, or as the preset has it.",
    "min_accuracy_per_well": "Smallest accuracy over all held-out wells (0..1; 0: off).",
    "min_accuracy_worst_experiment": "The same in the worst experiment.",
    "min_times_chance_per_well": "The same over all wells, in multiples of chance.",
    "min_times_chance_worst_experiment": "The same in the worst experiment.",
    "model_uri": "Folder of the model that scores, gs://bucket/.../VERSION.",
}

Spec = dict[str, Any]


def patch(
    spec: Spec, config: VertexConfig, parameters: Mapping[str, Any], beam_steps: Collection[str]
) -> None:
    """Complete a compiled specification in place.

    Parameters
    ----------
    spec
        JSON mapping of a ``PipelineSpec``, schema 2.1.0, compiled with an exit handler.
    config
        Machines and retries.
    parameters
        Defaults of the runtime parameters.
    beam_steps
        Steps that run Beam; the others have no use for its options.
    """
    _set_defaults(spec["root"]["inputDefinitions"]["parameters"], parameters)
    _hand_parameters_down(spec, parameters)
    _mend_dependencies(spec)
    _set_retries(spec, config)
    for name, container in _containers(spec):
        machine = config.machine(name)
        container["resources"] = {"cpuLimit": machine.cpu, "memoryLimit": machine.memory_gb}
        if name not in beam_steps:
            container["args"] = container["args"][:_OWN_ARGS]
        container["env"] = [{"name": "TF_CPP_MIN_LOG_LEVEL", "value": "1"}]
    _add_driver(spec)


def _set_defaults(declared: Spec, parameters: Mapping[str, Any]) -> None:
    """TFX drops the defaults of runtime parameters: without them each must be given each time."""
    for name, default in parameters.items():
        declared[name] |= {
            "defaultValue": default,
            "description": DESCRIPTIONS[name],
            "isOptional": True,
        }


def _hand_parameters_down(spec: Spec, parameters: Mapping[str, Any]) -> None:
    """With an exit handler, TFX nests all tasks one level deeper and forgets their parameters."""
    declared = spec["root"]["inputDefinitions"]["parameters"]
    spec["components"][_DAG]["inputDefinitions"] = {
        "parameters": {
            name: {"parameterType": declared[name]["parameterType"]} for name in declared
        }
    }
    task = spec["root"]["dag"]["tasks"][_DAG]
    task.setdefault("inputs", {}).setdefault("parameters", {}).update(
        {name: {"componentInputParameter": name} for name in parameters}
    )


def _mend_dependencies(spec: Spec) -> None:
    """A task waits for every task it reads from: TFX forgets one of a resolver's two."""
    tasks = spec["components"][_DAG]["dag"]["tasks"]
    for task in tasks.values():
        artifacts = task.get("inputs", {}).get("artifacts", {}).values()
        needed = {a["taskOutputArtifact"]["producerTask"] for a in artifacts}
        waits = needed | {name for name in task.get("dependentTasks", []) if name in tasks}
        if waits:
            task["dependentTasks"] = sorted(waits)


def _set_retries(spec: Spec, config: VertexConfig) -> None:
    """What runs in a container may fail for no fault of its own; resolvers cannot be retried."""
    if not config.retries:
        return
    for name, task in spec["components"][_DAG]["dag"]["tasks"].items():
        executor = spec["components"][task["componentRef"]["name"]].get("executorLabel", "")
        if "container" in spec["deploymentSpec"]["executors"].get(executor, {}):
            assert name in spec["components"]
            task["retryPolicy"] = {
                "maxRetryCount": config.retries,
                "backoffDuration": f"{config.retry_wait_s}s",
                "backoffFactor": _BACKOFF_FACTOR,
                "backoffMaxDuration": _LONGEST_WAIT,
            }


def _containers(spec: Spec) -> Iterator[tuple[str, Spec]]:
    """Name and container of every step that has one."""
    for label, executor in sorted(spec["deploymentSpec"]["executors"].items()):
        if "container" in executor:
            yield label.removesuffix("_executor"), executor["container"]


def _add_driver(spec: Spec) -> None:
    """Let the cache see a screen's files: TFX compiles a driver for its own ExampleGens alone."""
    container = spec["deploymentSpec"]["executors"][f"{_EXAMPLE_GEN}_executor"]["container"]
    definitions = spec["components"][_EXAMPLE_GEN]["inputDefinitions"]
    container["lifecycle"] = {
        "preCacheCheck": {
            "command": list(_DRIVER),
            "args": [
                "--json_serialized_invocation_args",
                "{{$}}",
                "--json_serialized_inputs_spec_args",
                json.dumps(definitions, sort_keys=True),
                *container["args"][_OWN_ARGS:],
            ],
        }
    }
