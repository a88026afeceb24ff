"""Small components and a pipeline, to try the runner on."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.types import component_spec, standard_artifacts
from tfx.types.channel import Channel

from pipelines.local import artifacts_dir, metadata_path, run_local
from trainer.errors import PlatewiseError


class WriterExecutor(base_executor.BaseExecutor):
    """Writes its text into two files; ``fail`` and ``stall`` do what they say half-way."""

    def Do(  # noqa: N802
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict
    ) -> None:
        folder = Path(output_dict["written"][0].uri)
        text = exec_properties["text"]
        for source in input_dict.get("source", []):
            text += (Path(source.uri) / "a").read_text()
        (folder / "a").write_text(text)
        if os.environ.get("TOY_STALL") == exec_properties["text"]:
            print("stalled", flush=True)
            time.sleep(120)
        if os.environ.get("TOY_FAIL") == exec_properties["text"]:
            raise PlatewiseError(f"no room for {text!r}")
        (folder / "b").write_text(str(time.time_ns()))


class WriterSpec(component_spec.ComponentSpec):
    PARAMETERS = {"text": component_spec.ExecutionParameter(type=str)}  # noqa: RUF012
    INPUTS = {  # noqa: RUF012
        "source": component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True)
    }
    OUTPUTS = {  # noqa: RUF012
        "written": component_spec.ChannelParameter(type=standard_artifacts.Examples)
    }


class NeedySpec(WriterSpec):
    INPUTS = {  # noqa: RUF012
        "source": component_spec.ChannelParameter(type=standard_artifacts.Examples)
    }


class Writer(base_component.BaseComponent):
    SPEC_CLASS = WriterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(WriterExecutor)

    def __init__(self, text: str, source: types.BaseChannel | None = None) -> None:
        written = Channel(type=standard_artifacts.Examples)
        super().__init__(spec=WriterSpec(text=text, source=source, written=written))


class Needy(Writer):
    SPEC_CLASS = NeedySpec

    def __init__(self, source: types.BaseChannel) -> None:
        written = Channel(type=standard_artifacts.Examples)
        base_component.BaseComponent.__init__(
            self, spec=NeedySpec(text="needy", source=source, written=written)
        )


def make(run_dir: Path, *texts: str, needy: bool = False) -> Pipeline:
    components: list[Writer] = []
    if needy:
        components.append(Needy(Channel(type=standard_artifacts.Examples)))
    for position, text in enumerate(texts):
        source = components[-1].outputs["written"] if components else None
        components.append(Writer(text, source).with_id(f"Writer{position}"))
    metadata_path(run_dir).parent.mkdir(parents=True, exist_ok=True)
    return Pipeline(
        pipeline_name="toy",
        pipeline_root=str(artifacts_dir(run_dir)),
        components=components,
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            str(metadata_path(run_dir))
        ),
    )


def main(run_dir: str, *texts: str) -> None:
    run_local(make(Path(run_dir), *texts), Path(run_dir))
