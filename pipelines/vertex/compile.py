"""A TFX pipeline as a KFP pipeline specification: hermetic, and the same bytes every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pipelines.config import PlatewiseConfig
from trainer.strict import ConfigError

Kind = Literal["training", "scoring"]
KINDS: tuple[Kind, ...] = ("training", "scoring")

#: What a pipeline cannot be compiled without.
_NEEDED = ("project", "pipeline_root", "image", "service_account")


def compile_pipeline(
    config: PlatewiseConfig, kind: Kind = "training", model: str = ""
) -> dict[str, Any]:
    """The pipeline of a configuration as the JSON mapping of a ``PipelineJob``.

    No network and no bucket is touched. Where the screen lies, which experiments train and are
    held out, and the other runtime parameters can be given again when it is submitted.

    Parameters
    ----------
    config
        Everything; ``config.vertex`` above all.
    kind
        ``training`` or ``scoring``.
    model
        Default of the runtime parameter ``model_uri`` of ``scoring``: a pushed version's folder.

    Raises
    ------
    ConfigError
        A key of ``[vertex]`` that only the user knows is empty.
    """
    needed = [*_NEEDED, *(["training.image"] if kind == "training" else [])]
    config.vertex.require(*needed)
    from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
    from tfx.orchestration.kubeflow.decorators import FinalStatusStr
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as kubeflow

    from components.digest import code_digest
    from components.final_status.component import FinalStatus
    from pipelines.vertex.patch import patch
    from pipelines.vertex.target import VertexTarget

    target = VertexTarget(config)
    pipeline = _create(config, kind, model, target)
    runner = kubeflow.KubeflowV2DagRunner(
        kubeflow.KubeflowV2DagRunnerConfig(
            default_image=_images(config),
            use_pipeline_spec_2_1=True,
        )
    )
    runner.set_exit_handler(
        FinalStatus(
            final_status=FinalStatusStr(),
            folder=f"{config.vertex.pipeline_root.rstrip('/')}/ends",
            code_digest=code_digest("components.final_status.component"),
        )
    )
    job: dict[str, Any] = runner.run(pipeline, write_out=False)
    job["labels"] = dict(sorted(config.vertex.labels.items()))  # TFX's own are telemetry
    beam_steps = {step.id for step in pipeline.components if isinstance(step, BaseBeamComponent)}
    patch(job["pipelineSpec"], config.vertex, target.parameters, beam_steps)
    check(job)
    return job


def _images(config: PlatewiseConfig) -> str | dict[str, str]:
    """One image for all components, or one by component."""
    vertex = config.vertex
    return {"default_image_path": vertex.image, **vertex.images} if vertex.images else vertex.image


def _create(config: PlatewiseConfig, kind: Kind, model: str, target: Any) -> Any:
    if kind == "training":
        from pipelines.training import create_pipeline

        return create_pipeline(config, target)
    from pipelines.scoring import create_pipeline as create_scoring

    return create_scoring(config, model, target=target)


def check(job: dict[str, Any]) -> None:
    """Parse a job strictly with KFP's own protocol buffers.

    Raises
    ------
    ConfigError
        It is not a pipeline job, or holds a field that KFP does not know.
    """
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    protos: Any = pipeline_spec_pb2
    try:
        json_format.ParseDict(job, protos.PipelineJob())
        spec = json_format.ParseDict(job["pipelineSpec"], protos.PipelineSpec())
        json_format.ParseDict(
            json_format.MessageToDict(spec.deployment_spec), protos.PipelineDeploymentConfig()
        )
    except (json_format.ParseError, KeyError, TypeError) as error:
        raise ConfigError(f"not a pipeline job that KFP can read: {error}") from None


def to_text(job: dict[str, Any], suffix: str) -> str:
    """JSON of the whole job, or YAML of its specification, which is what KFP keeps in YAML."""
    check_suffix(suffix)
    if suffix == ".json":
        return json.dumps(job, indent=1, sort_keys=True) + "\n"
    import yaml

    return str(yaml.safe_dump(job["pipelineSpec"], sort_keys=True, width=100))


def check_suffix(suffix: str) -> None:
    """Refuse a file that is neither JSON nor YAML.

    Raises
    ------
    ConfigError
        Another suffix than ``.json``, ``.yaml`` and ``.yml``.
    """
    if suffix not in (".json", ".yaml", ".yml"):
        raise ConfigError(
            f"the file must end in .json, .yaml or .yml; got {suffix or 'no ending'!r}"
        )


def write(job: dict[str, Any], path: str | Path) -> None:
    """Write a compiled job; an unfinished file is never seen."""
    path = Path(path)
    text = to_text(job, path.suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, "utf-8")
    unfinished.replace(path)
