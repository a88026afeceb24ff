"""Runs a compiled pipeline the way Vertex AI does: each step's own container command.

Walks the tasks of a specification in the order of their dependencies. A container step's driver
(pre-cache check) and executor are started as subprocesses with an ``ExecutorInput`` filled in; an
importer and the two resolvers that TFX compiles are done here, as the service does them; a step
whose inputs, parameters and command were seen before is taken from the cache. Nothing but the
standard library is needed, so the steps may run in another environment or behind ``chroot``.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers.spec_metadata import NOT_RESOLVED, Json, cache_key, fill, new_artifact, takes


class StepError(RuntimeError):
    """A container came to a bad end; the message has its last lines."""


@dataclass
class SpecRunner:
    """A pipeline service in one process; artifacts and their metadata outlive a job."""

    root: Path
    #: Put in front of every command, such as ``chroot`` and what it needs.
    prefix: Sequence[str] = ()
    #: Python that stands for the image's ``python``; empty: as the command has it.
    python: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    #: How every task of the last job ended: ``run``, ``cached``, ``imported``, ``resolved``.
    ends: dict[str, str] = field(default_factory=dict)
    #: Outputs of the last job: task -> output -> artifact list.
    outputs: dict[str, dict[str, Json]] = field(default_factory=dict)
    n_jobs: int = 0

    def run(self, job: Json, parameters: Mapping[str, Any] | None = None) -> None:
        """Run all tasks, then the exit handler, whatever became of them.

        Raises
        ------
        StepError
            After the exit handler, which has been told.
        """
        self.n_jobs += 1
        self.ends, self.outputs = {}, {}
        spec = job["pipelineSpec"]
        run = _Job(self, spec, f"job-{self.n_jobs}", _values(spec, parameters or {}))
        failure: StepError | None = None
        try:
            run.all_tasks()
        except StepError as error:
            failure = error
        run.exit_handler(failure)
        if failure:
            raise failure

    def uri(self, task: str, output: str) -> str:
        """URI of an output of the last job."""
        return str(self.outputs[task][output]["artifacts"][0]["uri"])

    # What the service remembers between jobs.

    @property
    def _memory(self) -> Path:
        return self.root / "metadata.json"

    def remembered(self) -> Json:
        if not self._memory.is_file():
            return {"artifacts": [], "cache": {}}
        return dict(json.loads(self._memory.read_text()))

    def remember(self, key: str, outputs: dict[str, Json]) -> None:
        memory = self.remembered()
        memory["cache"][key] = outputs
        memory["artifacts"] += [a for one in outputs.values() for a in one["artifacts"]]
        self.root.mkdir(parents=True, exist_ok=True)
        self._memory.write_text(json.dumps(memory, indent=1))


@dataclass
class _Job:
    runner: SpecRunner
    spec: Json
    name: str
    parameters: Json

    @property
    def folder(self) -> Path:
        return self.runner.root / self.name

    def all_tasks(self) -> None:
        tasks: Json = self.spec["components"]["tfx-dag"]["dag"]["tasks"]
        waiting = dict(sorted(tasks.items()))
        while waiting:
            ready = [
                name
                for name, task in waiting.items()
                if not set(task.get("dependentTasks", [])) & set(waiting)
            ]
            if not ready:
                raise StepError(f"tasks wait for one another: {sorted(waiting)}")
            for name in ready:
                self.one_task(name, waiting.pop(name))

    def one_task(self, name: str, task: Json) -> None:
        component = self.spec["components"][task["componentRef"]["name"]]
        executor = self.spec["deploymentSpec"]["executors"][component["executorLabel"]]
        artifacts = {
            key: self.runner.outputs[source["taskOutputArtifact"]["producerTask"]][
                source["taskOutputArtifact"]["outputArtifactKey"]
            ]
            for key, source in task.get("inputs", {}).get("artifacts", {}).items()
        }
        values = self.task_parameters(task)
        if "importer" in executor:
            outputs, end = self.imported(name, component, values), "imported"
        elif "resolver" in executor:
            outputs, end = self.resolved(component, executor["resolver"], artifacts), "resolved"
        else:
            outputs, end = self.contained(name, task, executor["container"], artifacts, values)
        self.runner.outputs[name], self.runner.ends[name] = outputs, end

    def task_parameters(self, task: Json) -> Json:
        found = {}
        for key, source in task.get("inputs", {}).get("parameters", {}).items():
            if "componentInputParameter" in source:
                found[key] = self.parameters[source["componentInputParameter"]]
            else:
                value = source["runtimeValue"]["constant"]
                if isinstance(value, str):
                    resource = f"projects/1/locations/local/pipelineJobs/{self.name}"
                    value = value.replace("{{$.pipeline_job_resource_name}}", resource)
                found[key] = value
        return found

    def imported(self, name: str, component: Json, values: Json) -> dict[str, Json]:
        ((key, declared),) = component["outputDefinitions"]["artifacts"].items()
        artifact = new_artifact(f"{self.name}/{name}/{key}", values["artifact_uri"], declared)
        return {key: {"artifacts": [artifact]}}

    def resolved(self, component: Json, resolver: Json, inputs: Json) -> dict[str, Json]:
        """The newest artifact that the query's filter takes, or none."""
        found = {}
        for key, query in resolver["outputArtifactQueries"].items():
            text, unknown = fill(query["filter"], inputs)
            matches = [] if unknown else [a for a in self.all_artifacts() if takes(text, a)]
            found[key] = {"artifacts": matches[-1:]} if matches else NOT_RESOLVED
        return found

    def all_artifacts(self) -> list[Json]:
        return list(self.runner.remembered()["artifacts"])

    def contained(
        self, name: str, task: Json, container: Json, artifacts: Json, values: Json
    ) -> tuple[dict[str, Json], str]:
        component = self.spec["components"][task["componentRef"]["name"]]
        folder = self.folder / name
        declared = component.get("outputDefinitions", {}).get("artifacts", {})
        outputs = {
            key: {"artifacts": [new_artifact(f"{self.name}/{name}/{key}", f"{folder}/{key}", one)]}
            for key, one in declared.items()
        }
        output_file = folder / "executor_output.json"
        executor_input = {
            "inputs": {
                "parameterValues": values,
                "artifacts": {k: a for k, a in artifacts.items() if a["artifacts"]},
            },
            "outputs": {"artifacts": outputs, "outputFile": str(output_file)},
        }
        check = container.get("lifecycle", {}).get("preCacheCheck")
        if check:
            self.command(name, task, check["command"], check["args"], container, executor_input)
            told = json.loads(output_file.read_text())["parameterValues"]
            values = executor_input["inputs"]["parameterValues"] = values | told
        key = cache_key(container, artifacts, values)
        remembered = self.runner.remembered()["cache"].get(key)
        if task.get("cachingOptions", {}).get("enableCache") and remembered is not None:
            return remembered, "cached"
        self.command(name, task, container["command"], container["args"], container, executor_input)
        produced = json.loads(output_file.read_text()).get("artifacts", {})
        for output, one in produced.items():
            outputs[output]["artifacts"][0] |= {
                k: v for k, v in one["artifacts"][0].items() if k in ("uri", "metadata")
            }
        self.runner.remember(key, outputs)
        return outputs, "run"

    def command(
        self,
        name: str,
        task: Json,
        command: list[str],
        args: list[str],
        container: Json,
        executor_input: Json,
    ) -> None:
        """Start a container's command, again where it fails and the task says so."""
        text = json.dumps(executor_input)
        words = [word.replace("{{$}}", text) for word in [*command, *args]]
        if self.runner.python and words[0] == "python":
            words[0] = self.runner.python
        env = {e["name"]: e["value"] for e in container.get("env", [])}
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        tries = 1 + int(task.get("retryPolicy", {}).get("maxRetryCount", 0))
        for attempt in range(1, tries + 1):
            log = folder / f"log-{attempt}.txt"
            with log.open("ab") as stream:
                done = subprocess.run(
                    [*self.runner.prefix, *words],
                    env={**_basic_environment(), **env, **self.runner.env},
                    cwd=self.runner.cwd or folder,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
            if done.returncode == 0:
                return
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise StepError(f"{name} ended with {done.returncode}, {tries} tries:\n{tail}")

    def exit_handler(self, failure: StepError | None) -> None:
        for name, task in self.spec["root"]["dag"]["tasks"].items():
            if name == "tfx-dag":
                continue
            status = {
                "state": "FAILED" if failure else "SUCCEEDED",
                "pipelineJobResourceName": f"projects/1/locations/local/pipelineJobs/{self.name}",
                **({"error": {"code": 9, "message": str(failure)}} if failure else {}),
            }
            parameters = dict(task["inputs"]["parameters"])
            told = {k for k, source in parameters.items() if "taskFinalStatus" in source}
            plain = {k: v for k, v in parameters.items() if k not in told}
            values = self.task_parameters({"inputs": {"parameters": plain}})
            values |= dict.fromkeys(told, json.dumps(status))
            values["folder"] = f"{self.runner.root}/ends"  # the compiled one is a bucket
            component = self.spec["components"][task["componentRef"]["name"]]
            executor = self.spec["deploymentSpec"]["executors"][component["executorLabel"]]
            _, end = self.contained(name, task, executor["container"], {}, values)
            self.runner.ends[name] = end


def _values(spec: Json, given: Mapping[str, Any]) -> Json:
    declared = spec["root"]["inputDefinitions"]["parameters"]
    unknown = set(given) - set(declared)
    if unknown:
        raise ValueError(f"unknown parameters {sorted(unknown)}; known: {sorted(declared)}")
    return {name: given.get(name, one.get("defaultValue")) for name, one in declared.items()}


def _basic_environment() -> dict[str, str]:
    """What any process needs; nothing of the caller's Python."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ}
