"""What a reader must know: places that settle the label, and why a value is not there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.profiles.confounding import treatment_notes
from pipelines.profiles.text import metrics_text
from trainer.corrections.compare import CorrectedMetrics, compare_corrections
from trainer.metrics.batch_effect import (
    BatchEffectConfig,
    BatchEffectResult,
    MetricRow,
    batch_effect_metrics,
)

VARIANCE = BatchEffectConfig(metrics=("variance_treatment",))
WELL = "the well position (--well)"


def _result(
    label_N: NDArray[np.str_],
    experiment_N: NDArray[np.str_],
    well_N: NDArray[np.str_],
    cell_type_N: NDArray[np.str_] | None = None,
) -> list[CorrectedMetrics]:
    embedding = np.random.default_rng(0).normal(size=(len(label_N), 5))
    found = batch_effect_metrics(
        embedding,
        label_N,
        experiment_N,
        position_N=well_N,
        cell_type_N=cell_type_N,
        config=VARIANCE,
    )
    return [CorrectedMetrics("uncorrected", found, 0.0)]


def _names(code_N: NDArray[np.integer]) -> NDArray[np.str_]:
    return np.array([f"n{code}" for code in code_N])


def test_a_label_that_is_always_in_the_same_well_is_said() -> None:
    place, experiment = np.arange(120) % 12, _names(np.arange(120) // 12 % 3)
    label, well = _names(place // 2), _names(place)
    compared = _result(label, experiment, well)
    assert compared[0].result.row("variance_treatment").value == 0
    (note,) = treatment_notes(compared, label, {WELL: well}, None)
    assert note.startswith(f"{WELL} determines the label: what the treatment does cannot be told")


def test_a_label_that_moves_between_wells_is_not_said() -> None:
    rng = np.random.default_rng(0)
    label, experiment = _names(np.arange(120) % 6), _names(np.arange(120) // 12 % 3)
    well = _names(rng.integers(0, 12, 120))
    compared = _result(label, experiment, well)
    places = {WELL: well, "the experiment": experiment}
    assert treatment_notes(compared, label, places, None) == []


def test_a_label_of_one_experiment_alone_and_most_in_one_well_are_said() -> None:
    label, well = _names(np.arange(120) // 20), _names(np.arange(120) % 20)
    experiment = _names(np.arange(120) // 20)
    places = {WELL: well, "the experiment": experiment}
    (note,) = treatment_notes(_result(label, experiment, well), label, places, None)
    assert note.startswith("the experiment determines the label")
    place = np.arange(120) % 12
    swapped = np.where((place < 2) & (np.arange(120) >= 60), 1 - place, place)
    label, experiment = _names(swapped), _names(np.arange(120) // 40)
    compared = _result(label, experiment, _names(place))
    (note,) = treatment_notes(compared, label, {WELL: _names(place)}, None)
    assert "settle most of the label (1 of 11 degrees of freedom are left)" in note


def test_only_the_cell_types_where_it_is_so_are_named() -> None:
    row = np.arange(240)
    cell_type = np.array(["HUVEC", "RPE", "U2OS"])[row // 80]
    label = _names(np.where(row < 160, row % 8, np.random.default_rng(0).permutation(row) % 8))
    experiment, well = _names(row // 20), _names(row % 8)
    compared = _result(label, experiment, well, cell_type)
    (note,) = treatment_notes(compared, label, {WELL: well}, cell_type)
    assert note.startswith(f"within HUVEC, RPE: {WELL} determines")


def test_every_value_that_is_not_there_has_its_reason_in_its_block() -> None:
    rng = np.random.default_rng(0)
    cell_type = np.array(["HUVEC"] * 20 + ["RPE"] * 40)
    experiment = np.array(["E1"] * 20 + ["E2"] * 20 + ["E3"] * 20)
    compared = compare_corrections(
        ["centring"],
        rng.normal(size=(60, 4)),
        _names(np.arange(60) % 5),
        experiment,
        cell_type_N=cell_type,
        config=BatchEffectConfig(metrics=("pcr", "label_asw", "clisi", "replicate_correlation")),
    )
    blocks = "\n".join(metrics_text(compared)).split("== ")
    assert [block[:12] for block in blocks if "note: - for" in block] == ["within HUVEC"]
    (line,) = [line for line in blocks[1].splitlines() if line.startswith("note: ")]
    assert line == (
        "note: - for PCR of the experiment, replicate correlation: "
        "needs two experiments; there is one"
    )
    legend = blocks[-1].split("what they mean")[1]
    assert "[HUVEC: k = 20, cut from 90: no more rows; RPE: k = 40, cut from 90" in legend
    assert "- under no effect: that value depends on the data" in legend


def test_a_value_that_one_correction_alone_lacks_is_said_of_it() -> None:
    there = BatchEffectResult((MetricRow("pcr", "all", 0.5), MetricRow("map", "all", 0.5)))
    gone = BatchEffectResult(
        (
            MetricRow("pcr", "all", None, note="not defined: nothing varies"),
            MetricRow("map", "all", None, note="3 labels left out"),
        )
    )
    compared = [CorrectedMetrics("uncorrected", there, 0), CorrectedMetrics("tvn", gone, 0)]
    lines = metrics_text(compared)
    assert "note: - for PCR of the experiment (tvn): nothing varies" in lines
    assert (
        "note: - for cross-experiment mAP (tvn): not defined on these rows: 3 labels left out"
        in lines
    )
