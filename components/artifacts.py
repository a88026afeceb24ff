"""Artifact types of our own; everything else is TFX's standard."""

from __future__ import annotations

from tfx.types.artifact import Artifact


class QualityControl(Artifact):
    """What ingest found: see ``components/plate_example_gen/quality.py`` for its files."""

    TYPE_NAME = "PlatewiseQualityControl"


class PlatewiseReport(Artifact):
    """A run's page: ``report.html``, ``metrics.json``, after scoring the tables too."""

    TYPE_NAME = "PlatewiseReport"
