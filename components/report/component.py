"""PlateReport: the page of a run as a TFX component."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.artifacts import BatchEffects, LeakAudit, PlatewiseReport, QualityControl
from components.report.executor import PlateReportExecutor


class PlateReportSpec(component_spec.ComponentSpec):
    """What a report is made from."""

    PARAMETERS = {  # noqa: RUF012 - TFX reads a plain dict
        "config_json": component_spec.ExecutionParameter(type=str),
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "quality": component_spec.ChannelParameter(type=QualityControl),
        "transform_graph": component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "predictions": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model_run": component_spec.ChannelParameter(
            type=standard_artifacts.ModelRun, optional=True
        ),
        "evaluation": component_spec.ChannelParameter(
            type=standard_artifacts.ModelEvaluation, optional=True
        ),
        "blessing": component_spec.ChannelParameter(
            type=standard_artifacts.ModelBlessing, optional=True
        ),
        "leaks": component_spec.ChannelParameter(type=LeakAudit, optional=True),
        "batch_effects": component_spec.ChannelParameter(type=BatchEffects, optional=True),
    }
    OUTPUTS = {  # noqa: RUF012
        "report": component_spec.ChannelParameter(type=PlatewiseReport),
    }


class PlateReport(base_component.BaseComponent):
    """Writes ``report.html`` and ``metrics.json``; output ``report``.

    After scoring (no evaluation, split ``score``) the output also holds the predictions as
    CSV and Parquet and, where the ids fit, ``submission.csv``.

    Parameters
    ----------
    examples, quality, transform_graph, model, predictions
        What every run has.
    model_run, evaluation, blessing, leaks
        What a training run has too.
    batch_effects
        From BatchEffectEvaluator.
    config_json
        The run's configuration, JSON; shown on the page.
    code_digest
        Digest of the code this step depends on; a new one makes it run again.
    """

    SPEC_CLASS = PlateReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PlateReportExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        quality: types.BaseChannel,
        transform_graph: types.BaseChannel,
        model: types.BaseChannel,
        predictions: types.BaseChannel,
        model_run: types.BaseChannel | None = None,
        evaluation: types.BaseChannel | None = None,
        blessing: types.BaseChannel | None = None,
        leaks: types.BaseChannel | None = None,
        config_json: str = "{}",
        code_digest: str = "",
        batch_effects: types.BaseChannel | None = None,
    ) -> None:
        spec = PlateReportSpec(
            examples=examples,
            quality=quality,
            transform_graph=transform_graph,
            model=model,
            predictions=predictions,
            model_run=model_run,
            evaluation=evaluation,
            blessing=blessing,
            leaks=leaks,
            batch_effects=batch_effects,
            config_json=config_json,
            code_digest=code_digest,
            report=types.Channel(type=PlatewiseReport),
        )
        super().__init__(spec=spec)
