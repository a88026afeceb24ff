"""The real Evaluator on prediction rows: metrics, intervals, verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from components.evaluator.config import EvaluationConfig
from components.evaluator.results import FILE_NAME, from_json, read_evaluation
from components.predictor.comparison import NotCompared, write_comparison
from trainer import schema
from trainer.errors import PlatewiseError

Evaluate = Callable[..., Any]


def wells_of(rows: dict[str, np.ndarray], **columns: str) -> np.ndarray:
    keep = rows[schema.LABEL] >= 0
    for key, value in columns.items():
        keep &= rows[key].astype(str) == value
    return keep


@pytest.fixture(scope="module")
def strict() -> EvaluationConfig:
    return EvaluationConfig(
        min_accuracy_per_well=0.3,
        min_accuracy_worst_experiment=0.25,
        confidence_intervals=False,
    )


def test_a_good_model_is_blessed_and_every_number_is_scikit_learns(
    evaluate: Evaluate, made: Any
) -> None:
    done = evaluate(made({"HUVEC-18": 0.7, "RPE-08": 0.5}), EvaluationConfig())
    found = read_evaluation(done.evaluation_uri)
    assert (found.blessed, found.reasons, found.has_baseline) == (True, (), False)
    assert (Path(done.blessing.uri) / "BLESSED").exists()
    assert done.blessing.get_int_custom_property("blessed") == 1
    assert done.blessing.get_string_custom_property("current_model").endswith("new")
    assert [gate.slice for gate in found.gates] == [
        "all wells",
        "experiment HUVEC-18",
        "experiment RPE-08",
    ]
    # Slices: 2 levels x (all, 2 experiments, 4 plates, 2 cell types, 1 well type, each
    # experiment's treatment wells) and sites.
    assert len(found.slices) == 2 * 12 + (2 + 1) * (1 + 2)
    for part in found.slices:
        keep = wells_of(done.rows, **part.columns)
        label = done.rows[schema.LABEL][keep]
        probability = done.rows[schema.PROBABILITIES][keep].astype(float)
        classes = np.arange(probability.shape[1])
        assert part.n == keep.sum() > 0
        value = {name: metric.value for name, metric in part.metrics.items()}
        assert value["accuracy"] == pytest.approx(sk.accuracy_score(label, probability.argmax(1)))
        assert value["top_5_accuracy"] == pytest.approx(
            sk.top_k_accuracy_score(label, probability, k=5, labels=classes)
        )
        normal = probability / probability.sum(1, keepdims=True)
        assert value["cross_entropy"] == pytest.approx(
            sk.log_loss(label, normal, labels=classes), rel=1e-6
        )
        for metric in part.metrics.values():
            assert metric.low is not None and metric.high is not None
            assert metric.low <= metric.value <= metric.high


@pytest.mark.slow
def test_intervals_are_those_of_students_t_over_well_rows(evaluate: Evaluate, made: Any) -> None:
    config = EvaluationConfig(slices=())
    done = evaluate(made({"HUVEC-18": 0.6}, baseline={"HUVEC-18": 0.4}), config)
    part = read_evaluation(done.evaluation_uri).find(level="well")
    keep = wells_of(done.rows, level="well")
    label = done.rows[schema.LABEL][keep]
    new = (done.rows[schema.PROBABILITIES][keep].argmax(1) == label).astype(float)
    old = (done.rows[schema.BASELINE_PROBABILITIES][keep].argmax(1) == label).astype(float)
    for value, rows in (
        (part.metrics["accuracy"], new),
        (part.baseline["accuracy"], old),
        (part.change["accuracy"], new - old),  # paired: the same wells
    ):
        low, high = stats.t.interval(0.95, len(rows) - 1, rows.mean(), stats.sem(rows))
        assert (value.low, value.value, value.high) == pytest.approx((low, rows.mean(), high))


def test_one_bad_experiment_refuses_the_blessing_and_is_named(
    evaluate: Evaluate, made: Any, strict: EvaluationConfig
) -> None:
    done = evaluate(made({"HUVEC-18": 0.9, "RPE-08": 0.05, "U2OS-02": 0.9}), strict)
    found = read_evaluation(done.evaluation_uri)
    assert not found.blessed
    assert [(gate.slice, gate.passed) for gate in found.gates] == [
        ("all wells", True),
        ("experiment HUVEC-18", True),
        ("experiment RPE-08", False),
        ("experiment U2OS-02", True),
    ]
    (reason,) = found.reasons
    assert reason == "experiment RPE-08: accuracy is 0; it must be >= 0.25"
    assert not (Path(done.blessing.uri) / "BLESSED").exists()
    assert "RPE-08" in (Path(done.blessing.uri) / "NOT_BLESSED").read_text()
    assert done.blessing.get_int_custom_property("blessed") == 0
    # TFMA itself says the same.
    from components.evaluator.tfma_api import tfma

    validation = tfma.load_validation_result(done.evaluation_uri)
    assert not validation.validation_ok
    (failed,) = validation.metric_validations_per_slice
    assert "RPE-08" in str(failed.slice_key)


def test_the_gate_reads_treatment_wells_as_the_headline_does(
    evaluate: Evaluate, made: Any, strict: EvaluationConfig
) -> None:
    done = evaluate(made({"HUVEC-18": 0.1, "RPE-08": 0.9}, controls=0.5), strict)
    found = read_evaluation(done.evaluation_uri)
    # Controls that are classes lift what all wells with a label give ...
    assert found.find(level="well", experiment="HUVEC-18").metrics["accuracy"].value > 0.25
    # ... and are told apart, but do not open the gate.
    right = {}
    for gate in found.gates:
        chosen = {"experiment": gate.slice.split()[1]} if "experiment" in gate.slice else {}
        keep = wells_of(done.rows, level="well", well_type="treatment", **chosen)
        hits = done.rows[schema.PROBABILITIES][keep].argmax(1) == done.rows[schema.LABEL][keep]
        assert gate.value == pytest.approx(hits.mean())
        right[gate.slice] = gate.passed
    assert right["experiment HUVEC-18"] is False and right["experiment RPE-08"] is True
    assert not found.blessed


def test_an_experiment_that_lost_every_site_fails_closed(
    evaluate: Evaluate, made: Any, strict: EvaluationConfig
) -> None:
    done = evaluate(made({"HUVEC-18": 0.9}, lost=("RPE-08",)), strict)
    found = read_evaluation(done.evaluation_uri)
    assert found.reasons == ("experiment RPE-08: none of its 160 sites was evaluated",)
    assert not found.blessed
    assert (Path(done.blessing.uri) / "NOT_BLESSED").exists()
    assert not (Path(done.blessing.uri) / "BLESSED").exists()
    assert done.blessing.get_int_custom_property("blessed") == 0


@pytest.mark.slow
def test_rows_of_unknown_label_are_not_evaluated(
    evaluate: Evaluate, made: Any, strict: EvaluationConfig
) -> None:
    done = evaluate(made({"HUVEC-18": 0.9, "RPE-08": 0.9}, unlabelled=("RPE-08",)), strict)
    found = read_evaluation(done.evaluation_uri)
    assert found.find(level="well", experiment="RPE-08") is None
    assert found.find(level="well").n == 2 * (40 - 2)
    assert [r.split(":")[0] for r in found.reasons] == ["experiment RPE-08"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["no split eval", pytest.param("no label", marks=pytest.mark.thorough)]
)
def test_nothing_to_evaluate_is_not_blessed(
    evaluate: Evaluate, made: Any, strict: EvaluationConfig, kind: str
) -> None:
    what = (
        made({"HUVEC-18": 0.9}, split="train")
        if kind == "no split eval"
        else made({"HUVEC-18": 0.9}, unlabelled=("HUVEC-18",))
    )
    done = evaluate(what, strict)
    found = read_evaluation(done.evaluation_uri)
    assert not found.blessed
    assert found.slices == ()
    assert found.reasons[0] == "all wells: accuracy is not measured: no row; it must be >= 0.375"
    assert done.blessing.get_int_custom_property("blessed") == 0
    assert (Path(done.blessing.uri) / "NOT_BLESSED").exists()


@pytest.mark.slow
def test_no_threshold_no_blessing(evaluate: Evaluate, made: Any) -> None:
    config = EvaluationConfig(
        min_times_chance_per_well=0.0,
        min_times_chance_worst_experiment=0.0,
        confidence_intervals=False,
    )
    done = evaluate(made({"HUVEC-18": 1.0}), config)
    found = read_evaluation(done.evaluation_uri)
    assert not found.blessed and "no threshold is set" in found.reasons[0]
    assert found.find(level="well").metrics["accuracy"].value == 1.0
    assert found.find(level="well").metrics["accuracy"].low is None
    assert done.blessing.get_int_custom_property("blessed") == 0


@pytest.mark.parametrize(
    ("old", "blessed"), [pytest.param(0.72, True, marks=pytest.mark.thorough), (0.95, False)]
)
def test_a_model_may_fall_behind_the_latest_blessed_one_by_so_much(
    evaluate: Evaluate, made: Any, old: float, blessed: bool
) -> None:
    config = EvaluationConfig(max_drop_against_baseline=0.05, slices=())
    done = evaluate(made({"HUVEC-18": 0.7}, baseline={"HUVEC-18": old}), config)
    found = read_evaluation(done.evaluation_uri)
    assert found.has_baseline and found.blessed is blessed
    part = found.find(level="well")
    for values, column in (
        (part.metrics, schema.PROBABILITIES),
        (part.baseline, schema.BASELINE_PROBABILITIES),
    ):
        keep = wells_of(done.rows, level="well")
        hits = done.rows[column][keep].argmax(1) == done.rows[schema.LABEL][keep]
        assert values["accuracy"].value == pytest.approx(hits.mean())
    change = part.metrics["accuracy"].value - part.baseline["accuracy"].value
    assert part.change["accuracy"].value == pytest.approx(change)
    if not blessed:
        assert found.reasons[0].startswith("all wells: accuracy minus the baseline's is -0.2")
    assert done.blessing.get_string_custom_property("baseline_model").endswith("old")


@pytest.mark.slow
def test_the_comparison_can_be_switched_off(evaluate: Evaluate, made: Any) -> None:
    config = EvaluationConfig(compare_with_baseline=False, confidence_intervals=False)
    done = evaluate(made({"HUVEC-18": 0.5}, baseline={"HUVEC-18": 1.0}), config)
    found = read_evaluation(done.evaluation_uri)
    assert found.blessed and not found.has_baseline


CHANGE = "accuracy minus the baseline's"


@pytest.mark.parametrize("told", [True, False])
def test_a_blessed_model_that_did_not_read_the_rows_closes_its_gate(
    evaluate: Evaluate, made: Any, told: bool
) -> None:
    def tell(folder: Path) -> None:
        if told:
            write_comparison(str(folder), NotCompared("trainer.json is torn", unreadable=True))

    why = "trainer.json is torn" if told else "the predictions hold no answers of the latest"
    config = EvaluationConfig(slices=(), confidence_intervals=False)
    done = evaluate(made({"HUVEC-18": 0.9}, unread_baseline=True), config, damage=tell)
    found = read_evaluation(done.evaluation_uri)
    (gate,) = [gate for gate in found.gates if gate.metric == CHANGE]
    assert gate.value is None and not gate.passed and gate.reason.startswith(why)
    assert not found.blessed and found.not_compared == ()
    (reason,) = found.reasons
    assert reason.startswith(f"all wells: {CHANGE} is not measured: {why}")
    assert done.blessing.get_int_custom_property("blessed") == 0


def test_a_blessed_model_of_another_kind_is_told_and_decides_nothing(
    evaluate: Evaluate, made: Any
) -> None:
    def tell(folder: Path) -> None:
        write_comparison(str(folder), NotCompared("it reads 6 channels", unreadable=False))

    config = EvaluationConfig(slices=(), confidence_intervals=False, max_batch_probe_rise=0.05)
    done = evaluate(made({"HUVEC-18": 0.9}, unread_baseline=True), config, damage=tell)
    found = read_evaluation(done.evaluation_uri)
    assert found.blessed and not found.has_baseline
    assert [(gate.metric, gate.reason) for gate in found.not_compared] == [
        (CHANGE, "it reads 6 channels"),
        ("experiment guessed, minus the baseline's", "it reads 6 channels"),
    ]
    assert CHANGE not in [gate.metric for gate in found.gates]
    assert from_json(found.to_json()) == found


def test_a_cut_shard_stops_the_evaluation(
    evaluate: Evaluate, made: Any, strict: EvaluationConfig
) -> None:
    def cut(folder: Path) -> None:
        shard = next((folder / "Split-eval").iterdir())
        shard.write_bytes(shard.read_bytes()[:-50])

    with pytest.raises(PlatewiseError, match="HUVEC-18_"):
        evaluate(made({"HUVEC-18": 0.9}), strict, damage=cut)


def test_evaluation_survives_its_file(evaluate: Evaluate, made: Any) -> None:
    config = EvaluationConfig(slices=("cell_type",), confidence_intervals=False)
    done = evaluate(made({"HUVEC-18": 0.5}), config)
    text = (Path(done.evaluation_uri) / FILE_NAME).read_text()
    found = from_json(text)
    assert found == read_evaluation(done.evaluation_uri) and found.to_json() == text
    assert found == read_evaluation(f"file://{done.evaluation_uri}")  # as gs:// is read
    assert found.config == config
    assert json.loads(text)["n_classes"] == 8
    with pytest.raises(PlatewiseError, match="not a finished evaluation"):
        read_evaluation(done.blessing.uri)
