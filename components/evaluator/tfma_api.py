"""TFMA, imported after TFX (in the other order it fails), and the parts it does not re-export."""

from __future__ import annotations

# isort: off
import tfx.components  # noqa: F401  (tfx.v1 would import aiplatform too: two seconds more)
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.proto import config_pb2
# isort: on

__all__ = ["config_pb2", "metric_types", "tfma"]
