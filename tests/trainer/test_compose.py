"""Minibatch compositions: each site used as promised, pure, replayable, shared between hosts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer import schema
from trainer.compose import ComposedFeed, make_feed
from trainer.data import PLATE, PlateFeed
from trainer.errors import PlatewiseError
from trainer.manifest import Manifest
from trainer.scan import PlateRecords, scan_plates
from trainer.transform_graph import load_transform

CONTROLS = (schema.WELL_NEGATIVE,)


def plates_of(screen, hold: bool = False) -> list[PlateRecords]:
    return scan_plates(
        screen.examples_dir,
        screen.manifest.of_split("train"),
        load_transform(screen.transform_dir),
        screen.manifest,
        n_classes=4,
        hold=hold,
        controls=CONTROLS,
    )


@st.composite
def invented_plates(draw) -> list[PlateRecords]:
    """Plates of two cell types with up to three experiments each; some sites unlabelled."""
    sizes = draw(st.lists(st.integers(1, 30), min_size=1, max_size=8))
    plates = []
    for i, n in enumerate(sizes):
        experiment = draw(st.integers(0, 5))
        labels = np.where(np.arange(n) % 5 == 4, -1, np.arange(n) % 3)
        plates.append(
            PlateRecords(
                f"p{i}",
                (f"file{i}",),
                labels,
                np.full((n, 2), i, np.float32),
                np.ones((n, 2), np.float32),
                experiment=f"e{experiment}",
                cell_type=f"c{experiment % 2}",
                places_N3=np.zeros((n, 3), np.int64),
                controls=labels < 0,
            )
        )
    return plates


@given(
    invented_plates(),
    st.sampled_from(["plate", "experiment", "cell_type", "random"]),
    st.integers(1, 7),
    st.integers(0, 3),
)
def test_every_labelled_site_is_used_as_promised(plates, composition, size, epoch) -> None:
    feed = ComposedFeed(plates, Manifest((), 2, 8, 8), composition, size, seed=1)
    plan = feed.plan(epoch).reshape(-1, size)
    group_of = {
        "plate": [p.plate_id for p in plates],
        "experiment": [p.experiment for p in plates],
        "cell_type": [p.cell_type for p in plates],
        "random": ["" for _ in plates],
    }[composition]
    site_group = np.repeat(group_of, [p.n_labelled for p in plates])
    n_sites = Counter(site_group.tolist())
    used = Counter(plan.reshape(-1).tolist())
    minibatches = Counter()
    for minibatch in plan:
        (group,) = set(site_group[minibatch].tolist())  # pure
        minibatches[group] += 1
    assert minibatches == {g: max(1, n // size) for g, n in n_sites.items()}
    for site, times in used.items():
        if n_sites[site_group[site]] >= size:
            assert times == 1
    for group, n in n_sites.items():
        if n < size:  # a small group repeats, and leaves none out
            assert {s for s in used if site_group[s] == group} == set(
                np.flatnonzero(site_group == group).tolist()
            )
    np.testing.assert_array_equal(plan, feed.plan(epoch).reshape(-1, size))


@given(invented_plates(), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2))
def test_hosts_and_replicas_share_the_minibatches_of_an_epoch(plates, size, n_hosts, each) -> None:
    one = ComposedFeed(plates, Manifest((), 2, 8, 8), "random", size, seed=1)
    n_replicas = n_hosts * each
    if one.steps_per_epoch < n_replicas:
        with pytest.raises(PlatewiseError, match=f"too few for {n_replicas} replicas"):
            ComposedFeed(plates, Manifest((), 2, 8, 8), "random", size, 1, 0, n_replicas, n_hosts)
        return
    many = ComposedFeed(plates, Manifest((), 2, 8, 8), "random", size, 1, 0, n_replicas, n_hosts)
    assert many.steps_per_epoch == one.steps_per_epoch // n_replicas
    plan = many.plan(2)
    assert plan.shape == (many.steps_per_epoch, n_hosts, each, size)
    expected = one.plan(2).reshape(-1, size)[: many.steps_per_epoch * n_replicas]
    np.testing.assert_array_equal(plan.reshape(-1, size), expected)


@pytest.mark.parametrize("hold", [False, True])
def test_pixels_labels_and_statistics_are_those_of_the_site(toy_screen, hold) -> None:
    feed = ComposedFeed(plates_of(toy_screen, hold), toy_screen.manifest, "random", 6, seed=5)
    known = {
        pixels.tobytes(): (plate, identity)
        for plate, sites in toy_screen.plates.items()
        for identity, pixels in sites
    }
    seen = []
    for element in feed.dataset(1).as_numpy_iterator():
        for row, pixels in enumerate(element[schema.PIXELS]):
            plate, identity = known[pixels.tobytes()]
            seen.append(identity)
            records = feed.plates[element[PLATE][row]]
            assert records.plate_id == plate
            assert identity.treatment == ("2", "7", "10", "31")[element[schema.LABEL][row]]
            np.testing.assert_array_equal(element[schema.CENTER][row], records.center_NC[0])
    assert len(seen) == len(set(seen)) == feed.steps_per_epoch * 6 == (24 + 18 + 5) // 6 * 6


@pytest.mark.parametrize("start_step", [1, 7, 9])
def test_a_resumed_feed_replays_exactly(toy_screen, start_step) -> None:
    feed = ComposedFeed(plates_of(toy_screen), toy_screen.manifest, "experiment", 6, seed=5)
    whole = list(feed.dataset(2).as_numpy_iterator())
    rest = list(feed.dataset(2, start_step).as_numpy_iterator())
    assert len(whole) == 2 * feed.steps_per_epoch and len(rest) == len(whole) - start_step
    for expected, found in zip(whole[start_step:], rest, strict=True):
        for key in expected:
            np.testing.assert_array_equal(expected[key], found[key])


def test_controls_of_the_plate_stand_last_and_have_no_label(make_toy_screen, toy_screen) -> None:
    plates = [p for p in plates_of(toy_screen, hold=True) if p.controls.any()]
    feed = ComposedFeed(plates, toy_screen.manifest, "plate", 6, seed=5, n_controls=5)
    controls = {
        pixels.tobytes(): plate
        for plate, sites in toy_screen.plates.items()
        for identity, pixels in sites
        if identity.well_type == schema.WELL_NEGATIVE
    }
    for element in feed.dataset(1).as_numpy_iterator():
        assert len(element[schema.LABEL]) == 11
        assert (element[schema.LABEL][:6] >= 0).all() and (element[schema.LABEL][6:] == -1).all()
        (plate,) = {feed.plates[p].plate_id for p in element[PLATE]}
        assert {controls[p.tobytes()] for p in element[schema.PIXELS][6:]} == {plate}


def test_a_plate_without_controls_is_named(toy_screen) -> None:
    with pytest.raises(PlatewiseError, match=r"plate HUVEC-02_1 \(1 of 3 training plates\)"):
        ComposedFeed(plates_of(toy_screen), toy_screen.manifest, "plate", 6, 1, n_controls=2)


def test_the_default_is_the_feed_of_whole_plates(toy_screen) -> None:
    plates = plates_of(toy_screen)
    assert isinstance(make_feed(plates, toy_screen.manifest, toy_screen.config()), PlateFeed)
    random = toy_screen.config(data={"composition": "random"})
    assert isinstance(make_feed(plates, toy_screen.manifest, random), ComposedFeed)
