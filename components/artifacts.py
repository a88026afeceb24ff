"""Artifact types of our own; everything else is TFX's standard.

On a managed pipeline the type's name is the path by which TFX imports the class, and may have one
dot alone: the package gives them out under its own name.
"""

from __future__ import annotations

from tfx.types.artifact import Artifact


class QualityControl(Artifact):
    """What ingest found: see ``components/plate_example_gen/quality.py`` for its files."""

    TYPE_NAME = "components.QualityControl"


class LeakAudit(Artifact):
    """What the leak audit found: ``leaks.json``, see ``components/leak_audit/files.py``."""

    TYPE_NAME = "components.LeakAudit"


class BatchEffects(Artifact):
    """Batch against biology: see ``components/batch_effect_evaluator/results.py``."""

    TYPE_NAME = "components.BatchEffects"


class PlatewiseReport(Artifact):
    """A run's page: ``report.html``, ``metrics.json``, after scoring the tables too."""

    TYPE_NAME = "components.PlatewiseReport"
