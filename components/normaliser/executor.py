"""Executor of PlateTransform: manifest first, then TFX's Transform over every split."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from absl import flags
from tfx import types
from tfx.components.transform import executor as stock
from tfx.proto import transform_pb2
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as keys
from tfx.utils import json_utils, proto_utils

from components.beam_workers import PortableBeamExecutor
from components.normaliser.preprocessing import TEXT_PATH_KEY
from components.saved_models import canonicalise, model_folder
from components.worker_errors import worker_errors
from trainer import manifest
from trainer.artifact import TRANSFORM_IN_MODEL
from trainer.config import NormalizerConfig
from trainer.errors import PlatewiseError
from trainer.strict import build, to_mapping
from trainer.transform_graph import TEXT_NAME, read_normaliser

#: Execution property and input that decide the normaliser when a run is started.
METHOD_KEY = "normalizer_method"
MODEL_KEY = "model"


class PlateTransformExecutor(PortableBeamExecutor, stock.Executor):
    """Reads shards only after checking them, in minibatches bounded by bytes."""

    def Do(  # noqa: N802  (TFX's name)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Fit the normaliser and write the Transform graph.

        Raises
        ------
        PlatewiseError
            A shard is not what the manifest says, or the normaliser cannot be fitted.
        """
        splits = _verified_splits(input_dict[keys.EXAMPLES_KEY])
        # Nothing to transform: the graph is applied where the pixels are read.
        config = transform_pb2.SplitsConfig(  # type: ignore[attr-defined]  # generated
            analyze=splits, transform=[]
        )
        custom = json_utils.loads(exec_properties[keys.CUSTOM_CONFIG_KEY])
        custom["normalizer"] = _normalizer(custom["normalizer"], input_dict, exec_properties)
        out_uri = artifact_utils.get_single_uri(output_dict[keys.TRANSFORM_GRAPH_KEY])
        custom[TEXT_PATH_KEY] = f"{out_uri}/{TEXT_NAME}"
        properties = exec_properties | {
            keys.SPLITS_CONFIG_KEY: proto_utils.proto_to_json(config),
            keys.CUSTOM_CONFIG_KEY: json_utils.dumps(custom),
        }
        with byte_size_minibatches(), worker_errors():
            super().Do(input_dict, output_dict, properties)
        canonicalise(out_uri)


def _normalizer(
    configured: dict[str, Any] | None,
    input_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
) -> dict[str, Any]:
    """The configured normaliser, the model's own, or the one named when the run was started."""
    if configured is None:
        model = model_folder(artifact_utils.get_single_uri(input_dict[MODEL_KEY]))
        configured = to_mapping(read_normaliser(f"{model}/{TRANSFORM_IN_MODEL}").config)
    changed = configured | {"method": exec_properties.get(METHOD_KEY) or configured["method"]}
    return to_mapping(build(NormalizerConfig, changed, "normalizer."))


def _verified_splits(examples: list[types.Artifact]) -> list[str]:
    """Splits that hold a shard, after checking every shard of every artifact."""
    splits: dict[str, None] = {}
    for artifact in examples:
        listed = manifest.read_manifest(artifact.uri)
        manifest.verify(artifact.uri, listed)
        splits |= dict.fromkeys(shard.split for shard in listed.shards)
    if not splits:
        uris = ", ".join(artifact.uri for artifact in examples)
        raise PlatewiseError(f"no shard in {uris}: there is no site to fit the normaliser on")
    return list(splits)


@contextlib.contextmanager
def byte_size_minibatches() -> Iterator[None]:
    """Read 20 MiB of records at a time instead of up to 1,000 records (400 MB).

    tfx_bsl has no other switch than a process-wide flag.
    """
    values = flags.FLAGS
    if not values.is_parsed():
        values(sys.argv[:1], known_only=True)
    flag: Any = values["tfxio_use_byte_size_batching"]
    before = flag.value
    flag.value = True
    try:
        yield
    finally:
        flag.value = before
