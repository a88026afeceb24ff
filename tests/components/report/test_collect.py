"""Artifacts on disk to page and metrics: real prediction shards, manifest, quality tables."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score

from components.plate_example_gen.storage import UnavailableError
from components.report import rows
from components.report.data import ComponentRun, ReportSources, RunFacts
from components.report.write import write_report
from components.staging import upload
from trainer import predictions, schema
from trainer.artifact import Trained
from trainer.config import NormalizerConfig
from trainer.errors import PlatewiseError
from trainer.manifest import Manifest, write_manifest
from trainer.presets import preset
from trainer.strict import to_mapping
from trainer.transform_graph import TEXT_NAME, FittedNormaliser

CLASSES = tuple(f"sirna_{i}" for i in range(7))
CHANNELS = ("nuclei", "actin")


def plate_rows(split: str, experiment: str, plate: int, wells: int = 6) -> predictions.Columns:
    """Rows of one plate as the predictor writes them."""
    generator = np.random.default_rng([len(experiment), plate])
    n = 2 * wells
    well = [f"B{2 + i // 2:02d}" for i in range(n)]
    site = np.tile([1, 2], wells)
    label = np.repeat(generator.integers(len(CLASSES), size=wells), 2)
    fidelity = np.full((n, 2), np.nan, np.float32)
    fidelity[:2] = [[20.0, 21.0], [22.0, 23.0]]

    def text(value: str) -> np.ndarray:
        return np.array([value] * n, object)

    columns = {
        schema.SITE_ID: np.array(
            [schema.site_id(experiment, plate, w, int(s)) for w, s in zip(well, site, strict=True)],
            object,
        ),
        schema.WELL_ID: np.array([schema.well_id(experiment, plate, w) for w in well], object),
        schema.EXPERIMENT: text(experiment),
        schema.PLATE_ID: text(schema.plate_id(experiment, plate)),
        schema.WELL: np.array(well, object),
        schema.CELL_TYPE: text(experiment.split("-")[0]),
        schema.WELL_TYPE: text(schema.WELL_TREATMENT),
        schema.TREATMENT: np.array([CLASSES[i] for i in label], object),
        schema.LEVEL: text(schema.LEVEL_SITE),
        predictions.SPLIT: text(split),
        schema.SITE: site,
        schema.LABEL: label,
        schema.PLATE_KNOWN: np.full(n, int(plate != 2)),
        schema.N_SITES: np.ones(n, np.int64),
        schema.PROBABILITIES: generator.dirichlet(np.ones(7), n).astype(np.float32),
        schema.EMBEDDING: generator.normal(size=(n, 3)).astype(np.float32),
        schema.PSNR_NOISY: fidelity,
        schema.PSNR_DENOISED: fidelity + 4,
        schema.SSIM_NOISY: fidelity / 100,
        schema.SSIM_DENOISED: fidelity / 50,
    }
    return predictions.join([columns, predictions.well_rows(columns)])


def write_predictions(folder: Path, plates: list[tuple[str, str, int]]) -> None:
    shards = tuple(
        predictions.write_plate(
            str(folder),
            split,
            schema.plate_id(experiment, plate),
            plate_rows(split, experiment, plate),
        )
        for split, experiment, plate in plates
    )
    write_manifest(str(folder), Manifest(shards, 2, 8, 8, CLASSES, {}, CHANNELS))


@pytest.fixture
def sources(tmp_path: Path) -> ReportSources:
    folders = {n: tmp_path / n for n in ("examples", "model", "predictions", "blessing")}
    for folder in folders.values():
        folder.mkdir()
    plates = [("train", "HUVEC-01", 1), ("eval", "HUVEC-02", 1), ("eval", "HUVEC-02", 2)]
    write_predictions(folders["predictions"], plates)
    expected = {"train": {"HUVEC-01": 12}, "eval": {"HUVEC-02": 24, "RPE-01": 24}}
    write_manifest(str(folders["examples"]), Manifest((), 2, 8, 8, CLASSES, expected, CHANNELS))
    history = ({"epoch": 1, "step": 5, "loss": 2.0, "accuracy": 0.1},)
    trained = Trained(
        config=preset("tiny"),
        classes=CLASSES,
        site_shape_px=(64, 64),
        n_steps=5,
        history=history,
        sites_per_s=10.0,
        input_wait_share=0.1,
    )
    described = folders["model"] / "Format-Serving" / "platewise"
    described.mkdir(parents=True)
    (described / "trainer.json").write_text(json.dumps(to_mapping(trained)))
    (folders["blessing"] / "NOT_BLESSED").touch()
    return ReportSources(
        examples=str(folders["examples"]),
        model=str(folders["model"]),
        predictions=str(folders["predictions"]),
        blessing=str(folders["blessing"]),
        config={"run": {"name": "demo"}, "training": {"loop": {"seed": 3}}},
    )


def test_headline_equals_scikit_learn_on_the_raw_rows(sources, tmp_path):
    metrics = write_report(sources, tmp_path / "out")
    read = predictions.read_rows(sources.predictions, ["eval"])
    wells = read[schema.LEVEL] == schema.LEVEL_WELL
    expected = accuracy_score(
        read[schema.LABEL][wells], read[schema.PROBABILITIES][wells].argmax(axis=1)
    )
    assert metrics["headline"]["accuracy_per_well"] == pytest.approx(expected)
    assert metrics["headline"]["n_wells"] == 12
    assert metrics["headline"]["chance"] == pytest.approx(1 / 7)
    by_name = {e["experiment"]: e for e in metrics["experiments"]}
    sites = ~wells
    assert by_name["HUVEC-02"]["accuracy_per_site"] == pytest.approx(
        accuracy_score(read[schema.LABEL][sites], read[schema.PROBABILITIES][sites].argmax(axis=1))
    )


def test_page_and_metrics_are_written_and_agree(sources, tmp_path):
    run = RunFacts("demo", "2026-01-01", 3.0, (ComponentRun("PlateTrainer", 2.0, "cached"),))
    metrics = write_report(sources, tmp_path / "out", run)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["metrics.json", "report.html"]
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics
    page = (tmp_path / "out" / "report.html").read_text()
    assert metrics["sentence"] in page
    assert metrics["timings"]["PlateTrainer"] == {"seconds": 2.0, "state": "cached"}
    assert metrics["config"] == {"run.name": "demo", "training.loop.seed": 3}
    assert metrics["versions"]["tensorflow"]
    assert metrics["blessing"]["blessed"] is False
    assert metrics["training"]["history"]["loss"] == [2.0]
    assert metrics["denoiser"]["channels"][0]["gain_db"] == pytest.approx(4, abs=1e-4)
    assert "60 photons" in metrics["denoiser"]["protocol"]


def test_an_experiment_without_rows_is_counted_as_none(sources, tmp_path):
    metrics = write_report(sources, tmp_path / "out")
    assert metrics["experiments"][0]["experiment"] == "RPE-01"
    assert metrics["experiments"][0]["n_wells"] == 0
    assert metrics["worst_experiment"]["experiment"] == "HUVEC-02"
    assert "No well could be scored in RPE-01." in metrics["sentence"]


def test_the_same_artifacts_give_the_same_bytes(sources, tmp_path):
    for name in ("a", "b"):
        write_report(sources, tmp_path / name)
    for name in ("report.html", "metrics.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_run_that_ended_early_has_a_page_that_says_so(sources, tmp_path):
    early = dataclasses.replace(sources, predictions="", blessing="", model="")
    metrics = write_report(early, tmp_path / "out")
    assert metrics["headline"] is None
    assert "ended before them" in metrics["notes"][0]
    assert [s["n_sites_expected"] for s in metrics["quality"]["splits"]] == [12, 48]


@pytest.mark.parametrize(("method", "n_notes"), [("plate_controls", 1), ("plate_mean_std", 0)])
def test_plates_without_controls_are_reported(sources, tmp_path, method, n_notes):
    fitted = FittedNormaliser(
        config=NormalizerConfig(method=method),
        classes=CLASSES,
        experiments=("HUVEC-01",),
        cell_types=("HUVEC",),
        plates=("HUVEC-01_1", "HUVEC-01_2"),
        center_PC=np.zeros((2, 2), np.float32),
        scale_PC=np.ones((2, 2), np.float32),
        n_sites=(12, 12),
        n_control_wells=(1, 0),
    )
    (tmp_path / TEXT_NAME).write_text(fitted.to_json())
    metrics = write_report(
        dataclasses.replace(sources, transform_graph=str(tmp_path)), tmp_path / "out"
    )
    assert len(metrics["notes"]) == n_notes
    if n_notes:
        assert metrics["notes"][0].startswith("1 of 2 plates have no negative-control well")
        assert "HUVEC-01_2." in (tmp_path / "out" / "report.html").read_text()


def test_a_cut_shard_stops_the_report(sources, tmp_path):
    shard = next(Path(sources.predictions).glob("Split-eval/*"))
    shard.write_bytes(shard.read_bytes()[:-40])
    with pytest.raises(PlatewiseError, match=shard.name):
        write_report(sources, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_scoring_writes_tables_and_its_own_page(sources, tmp_path):
    folder = tmp_path / "scored"
    folder.mkdir()
    write_predictions(folder, [("score", "U2OS-09", 1), ("score", "U2OS-09", 2)])
    out = tmp_path / "out"
    metrics = write_report(dataclasses.replace(sources, predictions=str(folder)), out)
    assert metrics["kind"] == "scoring" and metrics["headline"] is None
    assert metrics["scoring"]["unknown_plates"] == ["U2OS-09_2"]
    assert metrics["scoring"]["n_submission_rows"] == 12
    # Only what decided these predictions: of the configuration's own part, or the model's.
    assert metrics["config"]["run.name"] == "demo"
    assert metrics["config"]["model.predict.adapt_batch_norm"] is True
    assert not [key for key in metrics["config"] if key.startswith("training")]
    wells = pd.read_csv(out / "predictions_wells.csv")
    read = predictions.read_rows(str(folder))
    keep = read[schema.LEVEL] == schema.LEVEL_WELL
    assert wells["predicted"].tolist() == [
        CLASSES[i] for i in read[schema.PROBABILITIES][keep].argmax(axis=1)
    ]
    assert len(pd.read_csv(out / "submission.csv")) == 12
    assert "named a treatment for 12 wells" in (out / "report.html").read_text()


def test_scoring_without_class_names_is_refused(sources, tmp_path):
    folder = tmp_path / "scored"
    folder.mkdir()
    write_predictions(folder, [("score", "U2OS-09", 1)])
    nameless = dataclasses.replace(sources, predictions=str(folder), model="")
    with pytest.raises(PlatewiseError, match=r"no trainer\.json"):
        write_report(nameless, tmp_path / "out")


def test_no_classes_at_all_is_refused(sources, tmp_path):
    nameless = dataclasses.replace(sources, examples="", model="")
    with pytest.raises(PlatewiseError, match="needs the model's classes"):
        write_report(nameless, tmp_path / "out")


def test_reduced_rows_agree_with_the_full_ones(sources):
    full = predictions.read_rows(sources.predictions)
    table = rows.read_reduced(sources.predictions)
    probabilities = full[schema.PROBABILITIES]
    assert (table["top1"].to_numpy() == probabilities.argmax(axis=1)).all()
    order = np.argsort(-probabilities, axis=1)
    expected = [list(o).index(y) for o, y in zip(order, full[schema.LABEL], strict=True)]
    assert table["rank"].tolist() == expected
    measured = table[table[schema.PSNR_NOISY].map(len) > 0]
    assert (measured[schema.LEVEL] == "site").all() and len(measured) == 6


class TestInABucket:
    """The same page, when artifacts and page lie in a bucket that fails now and then."""

    @pytest.fixture
    def in_bucket(self, sources, gcs_server) -> ReportSources:
        gcs_server.client().create_bucket("b")
        there = {}
        for name in ("examples", "model", "predictions", "blessing"):
            there[name] = f"gs://b/run/{name}"
            upload(getattr(sources, name), there[name])
        return dataclasses.replace(sources, **there)

    @pytest.mark.parametrize(
        "fault",
        [
            {"status": 429},
            {"status": 503},
            {"cut": True, "about": "alt=media"},
            {"flip": True, "about": "alt=media"},
            {"lose_answer": True},
        ],
        ids=["429", "503", "cut", "wrong bytes", "lost"],
    )
    def test_page_and_metrics(self, sources, in_bucket, gcs_server, tmp_path, fault):
        write_report(sources, tmp_path / "here")
        gcs_server.fail(times=-1, once_each=True, **fault)
        write_report(in_bucket, "gs://b/run/report")
        gcs_server.heal()
        assert gcs_server.n_faults >= 1
        for name in ("report.html", "metrics.json"):
            blob = gcs_server.client().bucket("b").blob(f"run/report/{name}")
            assert blob.download_as_bytes() == (tmp_path / "here" / name).read_bytes()

    def test_an_input_out_of_reach(self, in_bucket, gcs_server):
        gcs_server.fail(times=-1, status=503, about="Split-eval")
        with pytest.raises(UnavailableError, match=r"gs://b/run/predictions/Split-eval/.*503"):
            write_report(in_bucket, "gs://b/run/report")
        assert not gcs_server.client().bucket("b").blob("run/report/report.html").exists()

    def test_a_damaged_input_is_named_by_its_place(self, in_bucket, gcs_server):
        name = "run/predictions/Split-eval/HUVEC-02_1-00000-of-00001"
        blob = gcs_server.client().bucket("b").blob(name)
        blob.upload_from_string(blob.download_as_bytes()[:-1])
        with pytest.raises(PlatewiseError, match=rf"gs://b/{name} has \d+ bytes where"):
            write_report(in_bucket, "gs://b/run/report")
