"""The commands on the real pipelines, as a user types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from apache_beam.options.pipeline_options import DirectOptions

from pipelines.cli import main
from pipelines.config import from_mapping
from pipelines.toml_text import to_toml
from pipelines.training import create_pipeline

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

STEPS = (
    "PlateExampleGen",
    "PlateTransform",
    "PlateTrainer",
    "PlatePredictor",
    "BatchEffectEvaluator",
    "PlateEvaluator",
    "PlatePusher",
    "PlateReport",
)


def states(shown: str) -> dict[str, str]:
    """Step -> how it ended, as the terminal showed it."""
    ended = ("done", "from the cache", "FAILED")
    lines = [line.split() for line in shown.splitlines() if line.endswith(ended)]
    return {words[0]: words[-1] for words in lines}


def test_run_report_predict(settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(to_toml(from_mapping(settings(tmp_path / "runs", "first"))))
    folder = tmp_path / "runs" / "first"
    capfd.readouterr()

    assert main(["run", "--config", str(file), "--training.loop.epochs", "2"]) == 0
    first = capfd.readouterr()
    assert [step for step in states(first.err) if step in STEPS] == list(STEPS)
    assert set(states(first.err).values()) == {"done"}
    assert "per well, held out: " in first.out and str(folder / "report.html") in first.out
    (log,) = (folder / "logs").iterdir()
    assert str(log) in first.out and log.stat().st_size > 0
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["headline"]["n_classes"] == 8
    assert {step: metrics["timings"][step]["state"] for step in STEPS} == dict.fromkeys(
        STEPS, "run"
    )

    assert main(["run", "--config", str(file), "--training.loop.epochs", "2"]) == 0
    again = states(capfd.readouterr().err)
    assert {again[step] for step in STEPS} == {"cache"}

    (folder / "report.html").unlink()
    assert main(["report", str(folder)]) == 0
    assert str(folder / "report.html") in capfd.readouterr().out
    rebuilt = json.loads((folder / "metrics.json").read_text())
    assert rebuilt["headline"] == metrics["headline"]

    screen = from_mapping(settings(tmp_path)).screen.root
    out = tmp_path / "scores"
    assert main(["predict", screen, "--model", str(folder), "--out", str(out)]) == 0
    shown = capfd.readouterr()
    for name in ("predictions_sites.csv", "predictions_wells.parquet", "report.html"):
        assert (out / name).is_file() and str(out / name) in shown.out

    whole, tiles = tmp_path / "whole", tmp_path / "tiles"
    assert main(["denoise", screen, str(whole), "--model", str(folder)]) == 0
    assert main(["denoise", screen, str(tiles), "--model", str(folder), "--tile", "16"]) == 0
    paths = sorted(p.relative_to(screen) for p in Path(screen).rglob("*.png"))
    assert paths and paths == sorted(p.relative_to(whole) for p in whole.rglob("*.png"))
    for path in paths[:12]:
        made, cut = (imagecodecs.imread((out / path).read_bytes()) for out in (whole, tiles))
        assert made.shape == imagecodecs.imread((Path(screen) / path).read_bytes()).shape
        # Summing in another order may turn a rounding.
        assert np.abs(made.astype(int) - cut.astype(int)).max() <= 1
        assert np.mean(made != cut) < 0.001
    capfd.readouterr()

    assert (
        main(["run", "--config", str(file), "--run.root", f"{tmp_path}", "--run.name=scores"]) == 1
    )
    assert "holds a scoring run" in capfd.readouterr().err


def test_a_broken_screen_is_one_message(
    settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mapping = settings(tmp_path / "runs", "broken")
    shutil.copytree(mapping["screen"]["root"], tmp_path / "screen")
    next((tmp_path / "screen").glob("**/*.png")).write_bytes(b"no image")
    mapping["screen"] = {"root": str(tmp_path / "screen")}
    mapping["quality"] = {"max_excluded_share": 0.0}
    file = tmp_path / "mine.toml"
    file.write_text(to_toml(from_mapping(mapping)))
    capfd.readouterr()
    assert main(["run", "--config", str(file)]) == 1
    shown = capfd.readouterr().err
    assert states(shown)["PlateExampleGen"] == "FAILED"
    assert "Traceback" not in shown
    message, log = shown.splitlines()[-2:]
    assert message.startswith("platewise: PlateExampleGen: ") and "max_excluded_share" in message
    text = Path(log.removeprefix("log: ")).read_text()
    assert "Traceback" in text and "ScreenError" in text


@pytest.mark.parametrize("controls", [False, True])
def test_controls_as_classes_reach_the_normaliser(settings, tmp_path: Path, controls: bool) -> None:
    mapping = settings(tmp_path, training={"preset": "tiny", "controls_as_classes": controls})
    pipeline = create_pipeline(from_mapping(mapping))
    (transform,) = (c for c in pipeline.components if c.id == "PlateTransform")
    custom = json.loads(transform.exec_properties["custom_config"])
    assert custom["controls_as_classes"] is controls


def test_the_evaluator_alone_runs_in_one_worker(settings, tmp_path: Path) -> None:
    mapping = settings(tmp_path, beam={"workers": 2})
    pipeline = create_pipeline(from_mapping(mapping))
    options = {
        c.id: DirectOptions(c.executor_spec.beam_pipeline_args)
        for c in pipeline.components
        if hasattr(c.executor_spec, "beam_pipeline_args")
    }
    modes = {name: (o.direct_num_workers, o.direct_running_mode) for name, o in options.items()}
    assert modes.pop("PlateEvaluator") == (1, "in_memory")
    assert set(modes.values()) == {(2, "multi_threading")}
    assert "PlateExampleGen" in modes
