"""The pre-cache check of a managed step: what it tells the service, and when it tells another."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from components.plate_example_gen import driver
from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from components.plate_example_gen.properties import read_properties
from trainer.strict import ConfigError, to_mapping


def properties(**given: str) -> dict[str, str]:
    return {
        "screen": json.dumps(to_mapping(ScreenConfig("/nowhere"))),
        "splits": json.dumps(to_mapping(SplitConfig(holdout_per_cell_type=2))),
        "quality_config": json.dumps(to_mapping(QualityConfig())),
        **given,
    }


def fingerprint(tmp_path: Path, screen: Path) -> str:
    output_file = tmp_path / "task" / "executor_output.json"
    values = properties(screen_root=str(screen))
    inputs = {"parameters": {key: {"parameterType": "STRING"} for key in values}}
    invocation = {
        "inputs": {"parameterValues": values},
        "outputs": {"outputFile": str(output_file)},
    }
    arguments = ["--json_serialized_invocation_args", json.dumps(invocation)]
    arguments += ["--json_serialized_inputs_spec_args", json.dumps(inputs)]
    assert driver.main([*arguments, "--runner=DataflowRunner", "--project=p"]) == 0
    return json.loads(output_file.read_text())["parameterValues"]["screen_fingerprint"]


def test_the_fingerprint_changes_with_the_files_alone(tmp_path):
    screen = tmp_path / "screen"
    (screen / "images").mkdir(parents=True)
    (screen / "metadata.csv").write_text("a")
    (screen / "images" / "x.png").write_bytes(b"1")
    first = fingerprint(tmp_path, screen)
    (screen / "notes.txt").write_text("not an image")
    assert fingerprint(tmp_path, screen) == first
    os.utime(screen / "images" / "x.png", ns=(1, 1))
    assert fingerprint(tmp_path, screen) != first


def test_a_run_is_started_as_configured_where_nothing_is_given():
    screen, splits, _ = read_properties(properties(screen_root="", eval_experiments=""))
    assert screen.root == "/nowhere"
    assert splits == SplitConfig(holdout_per_cell_type=2)


def test_what_is_given_at_the_start_wins():
    given = properties(
        screen_root="gs://b/s", train_experiments="HUVEC-01, RPE-01", eval_experiments="RPE-02"
    )
    screen, splits, _ = read_properties(given)
    assert screen.root == "gs://b/s"
    assert splits == SplitConfig(mode="experiments", train=("HUVEC-01", "RPE-01"), eval=("RPE-02",))


def test_a_leak_is_refused_whoever_asks_for_it():
    with pytest.raises(ConfigError, match="RPE-01 stands in train and in eval: that is a leak"):
        read_properties(properties(train_experiments="RPE-01", eval_experiments="RPE-01"))
