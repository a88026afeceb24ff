"""A trainer that trains nothing and an evaluator that blesses as told, around the resolver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.types import component_spec, standard_artifacts
from tfx.types.channel import Channel

from components.baseline import LatestOtherBlessedModelStrategy
from pipelines.local import artifacts_dir, metadata_path


class TrainExecutor(base_executor.BaseExecutor):
    def Do(  # noqa: N802
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict
    ) -> None:
        (Path(output_dict["model"][0].uri) / "name").write_text(exec_properties["name"])


class TrainSpec(component_spec.ComponentSpec):
    PARAMETERS = {"name": component_spec.ExecutionParameter(type=str)}  # noqa: RUF012
    INPUTS = {}  # noqa: RUF012
    OUTPUTS = {"model": component_spec.ChannelParameter(type=standard_artifacts.Model)}  # noqa: RUF012


class Train(base_component.BaseComponent):
    SPEC_CLASS = TrainSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(TrainExecutor)

    def __init__(self, name: str) -> None:
        super().__init__(spec=TrainSpec(name=name, model=Channel(type=standard_artifacts.Model)))


class CompareExecutor(base_executor.BaseExecutor):
    """Writes down which model it was given to compare with, and blesses if told to."""

    def Do(  # noqa: N802
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict
    ) -> None:
        (model,) = input_dict["model"]
        (blessing,) = output_dict["blessing"]
        found = [(Path(m.uri) / "name").read_text() for m in input_dict.get("baseline", [])]
        (Path(blessing.uri) / "baseline").write_text(",".join(found))
        blessing.set_int_custom_property("blessed", exec_properties["bless"])
        blessing.set_int_custom_property("current_model_id", model.id)


class CompareSpec(component_spec.ComponentSpec):
    PARAMETERS = {"bless": component_spec.ExecutionParameter(type=int)}  # noqa: RUF012
    INPUTS = {  # noqa: RUF012
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "baseline": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {  # noqa: RUF012
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing)
    }


class Compare(base_component.BaseComponent):
    SPEC_CLASS = CompareSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(CompareExecutor)

    def __init__(self, model: types.BaseChannel, baseline: types.BaseChannel, bless: bool) -> None:
        blessing = Channel(type=standard_artifacts.ModelBlessing)
        super().__init__(
            spec=CompareSpec(model=model, baseline=baseline, bless=int(bless), blessing=blessing)
        )


def make(run_dir: Path, name: str, bless: bool = True) -> Pipeline:
    train = Train(name)
    resolver = Resolver(
        strategy_class=LatestOtherBlessedModelStrategy,
        model=Channel(type=standard_artifacts.Model),
        model_blessing=Channel(type=standard_artifacts.ModelBlessing),
        candidate=train.outputs["model"],
    ).with_id("LatestBlessedModel")
    compare = Compare(train.outputs["model"], resolver.outputs["model"], bless)
    return Pipeline(
        pipeline_name="toy-models",
        pipeline_root=str(artifacts_dir(run_dir)),
        components=[train, resolver, compare],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            str(metadata_path(run_dir))
        ),
    )
