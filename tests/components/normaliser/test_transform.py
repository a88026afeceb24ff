"""The real Transform executor: its table and graph against NumPy on the pixels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from trainer import records, schema
from trainer.config import NormalizerConfig
from trainer.errors import PlatewiseError
from trainer.transform_graph import (
    FittedNormaliser,
    load_transform,
    read_classes,
    read_normaliser,
    read_normaliser_table,
)

RTOL = 1e-6
RunTransform = Callable[..., str]


def parse(sites: list[tuple[records.SiteIdentity, np.ndarray]], n_channels: int) -> dict[str, Any]:
    import tensorflow as tf

    serialized = [records.encode_site(identity, pixels) for identity, pixels in sites]
    return dict(tf.io.parse_example(serialized, schema.raw_feature_spec(n_channels)))


def stranger(seed: int = 3) -> tuple[records.SiteIdentity, np.ndarray]:
    """A site of a plate that no Transform has seen."""
    identity = records.SiteIdentity(
        "NEW-1", "NEW-1_9", "C03", 1, "NEW", schema.WELL_TREATMENT, "sirna_2"
    )
    pixels = np.random.default_rng(seed).integers(10, 200, (3, 20, 24)).astype(np.uint8)
    return identity, pixels


@pytest.fixture(scope="module")
def default_dir(screen: Any, run_transform: RunTransform) -> str:
    return run_transform(screen.folder, NormalizerConfig())


def test_table_is_numpys_over_the_pixels_of_each_plate(screen: Any, default_dir: str) -> None:
    table = read_normaliser_table(default_dir)
    assert list(table) == ["HUVEC-2_1", "HUVEC-2_2", "HUVEC-10_1", "HUVEC-10_2", "RPE-01_1"]
    for plate, (center, scale) in table.items():
        pixels = screen.pixels(lambda i, plate=plate: i.plate_id == plate)
        np.testing.assert_allclose(center, pixels.mean(1), rtol=RTOL)
        np.testing.assert_allclose(scale, np.maximum(pixels.std(1), 0.5), rtol=RTOL)
    assert table["HUVEC-10_1"][1][2] == 0.5  # the channel that was never lit


def test_graph_gives_every_site_its_plate_and_its_label(screen: Any, default_dir: str) -> None:
    transform = load_transform(default_dir)
    out = {k: v.numpy() for k, v in transform(parse(screen.sites, 3)).items()}
    fitted = read_normaliser(default_dir)
    table = read_normaliser_table(default_dir)
    classes = read_classes(default_dir)
    assert classes == ["sirna_1", "sirna_2", "sirna_10"]
    assert fitted.experiments == ("HUVEC-2", "HUVEC-10", "RPE-01")
    assert fitted.n_control_wells == (1, 3, 1, 0, 1)
    for row, (identity, _) in enumerate(screen.sites):
        center, scale = table[identity.plate_id]
        np.testing.assert_array_equal(out[schema.CENTER][row], center)
        np.testing.assert_array_equal(out[schema.SCALE][row], scale)
        treated = identity.well_type == schema.WELL_TREATMENT and identity.treatment
        label = classes.index(identity.treatment) if treated else schema.LABEL_UNKNOWN
        assert out[schema.LABEL][row] == label
        assert fitted.plates[out[schema.PLATE_INDEX][row]] == identity.plate_id
        assert fitted.experiments[out[schema.EXPERIMENT_INDEX][row]] == identity.experiment
        assert fitted.cell_types[out[schema.CELL_TYPE_INDEX][row]] == identity.cell_type
    assert out[schema.PLATE_KNOWN].tolist() == [1] * len(screen.sites)
    assert out[schema.LABEL].dtype == np.int64 and out[schema.CENTER].dtype == np.float32


def test_an_unknown_plate_gets_its_own_images_statistics(screen: Any, default_dir: str) -> None:
    sites = [screen.sites[0], stranger()]
    out = {k: v.numpy() for k, v in load_transform(default_dir)(parse(sites, 3)).items()}
    assert out[schema.PLATE_KNOWN].tolist() == [1, 0]
    assert out[schema.PLATE_INDEX].tolist() == [0, -1]
    assert out[schema.EXPERIMENT_INDEX].tolist() == [0, -1]
    assert out[schema.CELL_TYPE_INDEX].tolist() == [0, -1]
    assert out[schema.LABEL][1] == 1  # the treatment is a known one
    pixels = sites[1][1].reshape(3, -1)
    np.testing.assert_allclose(out[schema.CENTER][1], pixels.mean(1), rtol=RTOL)
    np.testing.assert_allclose(out[schema.SCALE][1], pixels.std(1), rtol=RTOL)


def test_pixels_need_not_travel_and_the_graph_runs_in_tf_data(
    screen: Any, default_dir: str
) -> None:
    import tensorflow as tf

    transform = load_transform(default_dir)
    raw = parse(screen.sites[:6], 3)
    whole = transform(raw)
    for key in (schema.PIXELS, schema.HEIGHT, schema.SITE_ID):
        del raw[key]
    rows = tf.data.Dataset.from_tensor_slices(raw).batch(3).map(transform)
    joined = np.concatenate([row[schema.CENTER].numpy() for row in rows])
    np.testing.assert_array_equal(joined, whole[schema.CENTER].numpy())
    del raw[schema.HISTOGRAM]
    with pytest.raises(PlatewiseError, match="histogram is missing"):
        transform(raw)


def test_graph_loads_in_a_process_without_transform(default_dir: str) -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['tensorflow_transform'] = None; sys.modules['tfx'] = None\n"
        "from trainer.transform_graph import load_transform\n"
        "import tensorflow as tf\n"
        "f = {k: tf.constant(['?']) for k in "
        "('experiment', 'plate_id', 'cell_type', 'well_type', 'treatment')}\n"
        "f['histogram'] = tf.ones([1, 768], tf.int64)\n"
        f"print(load_transform({default_dir!r})(f)['center'].numpy().tolist())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(out.stdout) == [[127.5] * 3]


@pytest.mark.slow
def test_two_runs_give_the_same_values_and_no_path_in_the_graph(
    screen: Any, run_transform: RunTransform, default_dir: str
) -> None:
    again = run_transform(screen.folder, NormalizerConfig())
    assert read_normaliser(again).to_json() == read_normaliser(default_dir).to_json()
    graph = (Path(again) / "transform_fn" / "saved_model.pb").read_bytes()
    assert again.encode() not in graph and str(screen.folder).encode() not in graph
    assert not (Path(again) / ".temp_path").exists()


def control_moments(screen: Any, plate: str, weight: float) -> tuple[np.ndarray, np.ndarray]:
    plate_pixels = screen.pixels(lambda i: i.plate_id == plate)
    control = screen.pixels(lambda i: i.plate_id == plate and i.well_type == schema.WELL_NEGATIVE)
    values = np.concatenate([control, plate_pixels], axis=1)
    shares = np.repeat(
        [weight / control.shape[1], (1 - weight) / plate_pixels.shape[1]],
        [control.shape[1], plate_pixels.shape[1]],
    )
    mean = values @ shares
    return mean, np.sqrt(((values - mean[:, None]) ** 2) @ shares)


def test_controls(screen: Any, run_transform: RunTransform) -> None:
    out = run_transform(screen.folder, NormalizerConfig(method="plate_controls"))
    table = read_normaliser_table(out)
    for plate, n_wells in (("HUVEC-2_1", 1), ("HUVEC-2_2", 3), ("RPE-01_1", 1)):
        mean, std = control_moments(screen, plate, n_wells / (n_wells + 4.0))
        np.testing.assert_allclose(table[plate][0], mean, rtol=RTOL)
        np.testing.assert_allclose(table[plate][1], std, rtol=RTOL)
    bare = screen.pixels(lambda i: i.plate_id == "HUVEC-10_2")
    np.testing.assert_allclose(table["HUVEC-10_2"][0], bare.mean(1), rtol=RTOL)
    np.testing.assert_allclose(table["HUVEC-10_2"][1], bare.std(1), rtol=RTOL)


def test_plate_without_controls_can_stop_the_run(screen: Any, run_transform: RunTransform) -> None:
    config = NormalizerConfig(method="plate_controls", without_controls="error")
    with pytest.raises(PlatewiseError, match=r"^1 of 5 plates .*HUVEC-10_2.*without_controls"):
        run_transform(screen.folder, config)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", ["plate_median_mad", pytest.param("plate_percentiles", marks=pytest.mark.thorough)]
)
def test_order_statistics(screen: Any, run_transform: RunTransform, method: str) -> None:
    config = NormalizerConfig(method=method, low_percentile=2.5, high_percentile=99.5)
    out = run_transform(screen.folder, config)
    new = stranger()
    fallback = load_transform(out)(parse([new], 3))
    measured = read_normaliser_table(out) | {
        "new": (fallback[schema.CENTER].numpy()[0], fallback[schema.SCALE].numpy()[0])
    }
    for plate, (center, scale) in measured.items():
        pixels = (
            new[1].reshape(3, -1)
            if plate == "new"
            else screen.pixels(lambda i, plate=plate: i.plate_id == plate)
        )
        if method == "plate_median_mad":
            expected = np.median(pixels, axis=1)
            spread = stats.median_abs_deviation(pixels.astype(float), axis=1, scale="normal")
        else:
            expected = np.percentile(pixels, 2.5, axis=1)
            spread = np.percentile(pixels, 99.5, axis=1) - expected
        np.testing.assert_allclose(center, expected, rtol=RTOL)
        np.testing.assert_allclose(scale, np.maximum(spread, 0.5), rtol=RTOL)


@pytest.mark.slow
def test_experiment_and_controls_as_classes(screen: Any, run_transform: RunTransform) -> None:
    config = NormalizerConfig(method="experiment_mean_std")
    out = run_transform(screen.folder, config, controls_as_classes=True)
    table = read_normaliser_table(out)
    pixels = screen.pixels(lambda i: i.experiment == "HUVEC-10")
    for plate in ("HUVEC-10_1", "HUVEC-10_2"):
        np.testing.assert_allclose(table[plate][0], pixels.mean(1), rtol=RTOL)
        np.testing.assert_allclose(table[plate][1], pixels.std(1), rtol=RTOL)
    assert read_classes(out) == ["EMPTY", "sirna_1", "sirna_2", "sirna_10", "sirna_100"]
    transformed = load_transform(out)(parse([*screen.sites, stranger()], 3))
    for kind, label in ((schema.WELL_NEGATIVE, 0), (schema.WELL_POSITIVE, 4)):
        mine = [i.well_type == kind for i, _ in screen.sites] + [False]
        assert set(transformed[schema.LABEL].numpy()[mine]) == {label}
    # A new plate of whatever experiment falls back on itself.
    own = stranger()[1].reshape(3, -1)
    np.testing.assert_allclose(transformed[schema.CENTER].numpy()[-1], own.mean(1), rtol=RTOL)
    assert transformed[schema.PLATE_KNOWN].numpy()[-1] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", ["image_mean_std", pytest.param("none", marks=pytest.mark.thorough)]
)
def test_methods_without_a_plate(screen: Any, run_transform: RunTransform, method: str) -> None:
    out = run_transform(screen.folder, NormalizerConfig(method=method))
    sites = [screen.sites[0], stranger()]
    transformed = load_transform(out)(parse(sites, 3))
    assert transformed[schema.PLATE_KNOWN].numpy().tolist() == [1, 0]
    for row, (_, pixels) in enumerate(sites):
        flat = pixels.reshape(3, -1)
        center = flat.mean(1) if method == "image_mean_std" else np.zeros(3)
        scale = flat.std(1) if method == "image_mean_std" else np.full(3, 255.0)
        np.testing.assert_allclose(transformed[schema.CENTER][row], center, rtol=RTOL)
        np.testing.assert_allclose(transformed[schema.SCALE][row], scale, rtol=RTOL)


def test_an_unknown_plate_can_be_an_error(screen: Any, run_transform: RunTransform) -> None:
    import tensorflow as tf

    transform = load_transform(
        run_transform(screen.folder, NormalizerConfig(unknown_plate="error"))
    )
    known = transform(parse(screen.sites[:3], 3))
    assert known[schema.PLATE_KNOWN].numpy().tolist() == [1, 1, 1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="NEW-1_9"):
        transform(parse([screen.sites[0], stranger()], 3))


@pytest.mark.slow
def test_a_screen_without_labels_has_no_classes(
    screen: Any,
    run_transform: RunTransform,
    write_examples: Callable[..., None],
    tmp_path: Path,
) -> None:
    import dataclasses

    blank = [
        (dataclasses.replace(identity, treatment="", experiment="HUVEC-2"), pixels)
        for identity, pixels in screen.sites
        if identity.plate_id == "HUVEC-2_1"
    ]
    write_examples(tmp_path, blank)
    out = run_transform(tmp_path, NormalizerConfig())
    assert read_classes(out) == []
    assert set(load_transform(out)(parse(blank, 3))[schema.LABEL].numpy()) == {-1}


def test_a_shard_emptied_since_stops_the_run(
    screen: Any, run_transform: RunTransform, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(screen.folder, copy)
    (copy / "Split-train" / "HUVEC-2_1-00000-of-00001").write_bytes(b"")
    with pytest.raises(PlatewiseError, match="HUVEC-2_1-00000-of-00001"):
        run_transform(copy, NormalizerConfig())


def test_pixels_are_never_read_by_the_analysis() -> None:
    import tensorflow as tf
    import tensorflow_transform as tft

    from components.normaliser.counts import INPUT_KEYS
    from components.normaliser.preprocessing import preprocessing_fn
    from trainer.strict import to_mapping

    specs = {
        key: tf.TensorSpec([None, *feature.shape], feature.dtype)
        for key, feature in schema.raw_feature_spec(6).items()
    }
    custom = {"normalizer": to_mapping(NormalizerConfig()), "controls_as_classes": False}

    def bound(inputs: dict[str, Any]) -> dict[str, Any]:
        return preprocessing_fn(inputs, custom)

    columns = tft.get_analyze_input_columns(bound, specs, force_tf_compat_v1=False)
    assert sorted(columns) == sorted(INPUT_KEYS)
    assert schema.PIXELS not in tft.get_transform_input_columns(bound, specs, False)


@pytest.mark.parametrize(("controls", "names"), [(False, {b"1"}), (True, {b"1", b"2", b"E"})])
def test_controls_of_either_kind_are_classes_if_asked(controls: bool, names: set[bytes]) -> None:
    """WILDS has 1,139 classes: 1,108 treatments, 30 positive controls and the untreated."""
    from components.normaliser.counts import sum_by_plate

    kinds = [schema.WELL_TREATMENT, schema.WELL_POSITIVE, schema.WELL_NEGATIVE, "treatment"]
    texts = [[b"P_1"] * 4, [b"A"] * 4, [b"HUVEC"] * 4, [k.encode() for k in kinds]]
    texts += [[b"B02", b"B03", b"B04", b"B05"], [b"1", b"2", b"E", b""]]
    columns = (*(np.array(column, object) for column in texts), np.ones((4, 256), np.int64))
    ((_, sums),) = sum_by_plate(columns, controls_as_classes=controls)
    assert sums.treatments == names


def test_one_name_for_two_plates_is_refused() -> None:
    from components.normaliser.counts import MergeSums, fit, sum_by_plate

    def columns(experiment: bytes) -> tuple[np.ndarray, ...]:
        texts = (b"P_1", experiment, b"HUVEC", b"treatment", b"P_1_B02", b"sirna_1")
        return (*(np.array([text], object) for text in texts), np.ones((1, 256), np.int64))

    merge = MergeSums()
    sums = merge.create_accumulator()
    for experiment in (b"A", b"B"):
        ((plate, one),) = sum_by_plate(columns(experiment), controls_as_classes=False)
        sums = merge.add_input(sums, one)
    with pytest.raises(PlatewiseError, match=r"plate P_1 belongs to several experiments \(A, B\)"):
        fit([(plate, sums)], NormalizerConfig())
    with pytest.raises(PlatewiseError, match="every split is empty"):
        fit([], NormalizerConfig())


def test_merging_in_any_order_gives_the_same_sums(screen: Any) -> None:
    from components.normaliser.counts import MergeSums, fit, sum_by_plate

    keys = ("plate_id", "experiment", "cell_type", "well_type", "well_id", "treatment")
    rows = [
        [getattr(identity, key).encode() for key in keys] + [records.histogram(pixels).reshape(-1)]
        for identity, pixels in screen.sites
    ]

    def fitted(order: np.ndarray, n_parts: int) -> FittedNormaliser:
        merge = MergeSums()
        workers: dict[bytes, list[Any]] = {}
        for part in np.array_split(order, n_parts):
            chosen = [rows[i] for i in part]
            texts = [np.array([row[k] for row in chosen], object) for k in range(6)]
            columns = (*texts, np.stack([row[6] for row in chosen]))
            for plate, sums in sum_by_plate(columns, controls_as_classes=False):
                start = merge.create_accumulator()
                workers.setdefault(plate, []).append(merge.add_input(start, sums))
        merged = [(p, merge.merge_accumulators(s)) for p, s in reversed(workers.items())]
        return fit(merged, NormalizerConfig(method="plate_controls"))

    order = np.arange(len(rows))
    whole = fitted(order, 1)
    shuffled = fitted(np.random.default_rng(0).permutation(order), 7)
    assert whole.to_json() == shuffled.to_json()


@pytest.mark.slow
def test_real_sites_equal_numpy_on_what_pillow_decodes(
    real_data: Path,
    run_transform: RunTransform,
    write_examples: Callable[..., None],
    tmp_path: Path,
) -> None:
    from PIL import Image

    sites = []
    for first in sorted((real_data / "rxrx1" / "train").glob("HUVEC-01/Plate*/B02_s1_w1.png")):
        paths = [first.with_name(f"B02_s1_w{c}.png") for c in (1, 2, 3)]
        pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
        plate = first.parent.name.removeprefix("Plate")
        kind = schema.WELL_NEGATIVE
        identity = records.SiteIdentity(
            "HUVEC-2", f"HUVEC-2_{plate}", "B02", 1, "HUVEC", kind, "EMPTY"
        )
        sites.append((identity, pixels))
    assert len(sites) == 4
    write_examples(tmp_path, sites)
    for method in ("plate_mean_std", "plate_median_mad"):
        table = read_normaliser_table(run_transform(tmp_path, NormalizerConfig(method=method)))
        for identity, pixels in sites:
            flat = pixels.reshape(3, -1).astype(float)
            center, scale = table[identity.plate_id]
            mad = method == "plate_median_mad"
            expected = np.median(flat, axis=1) if mad else flat.mean(1)
            spread = (
                stats.median_abs_deviation(flat, axis=1, scale="normal") if mad else flat.std(1)
            )
            np.testing.assert_allclose(center, expected, rtol=RTOL)
            np.testing.assert_allclose(scale, np.maximum(spread, 0.5), rtol=RTOL)
