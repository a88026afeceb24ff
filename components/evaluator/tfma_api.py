"""TFMA, and the parts of it that it does not re-export."""

from __future__ import annotations

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.proto import config_pb2

__all__ = ["config_pb2", "metric_types", "tfma"]
