"""Plate-pure minibatches that replay."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from trainer import schema
from trainer.config import DataConfig
from trainer.data import PLATE, PlateFeed, PlateRecords, scan_plates
from trainer.errors import PlatewiseError
from trainer.transform_graph import load_transform, read_normaliser

MINIBATCH = 6


def build_feed(screen, config: DataConfig, seed: int = 5, n_replicas: int = 1) -> PlateFeed:
    transform = load_transform(screen.transform_dir)
    plates = scan_plates(
        screen.examples_dir,
        screen.manifest.of_split("train"),
        transform,
        screen.manifest,
        n_classes=4,
        hold=config.cache_in_memory,
    )
    return PlateFeed(plates, screen.manifest, config, seed, n_replicas)


def elements(feed: PlateFeed, n_epochs: int, start_step: int = 0) -> list[dict]:
    return list(feed.dataset(n_epochs, start_step).as_numpy_iterator())


def sites_of(element: dict, screen) -> list[tuple[str, int]]:
    """Which site each row is, found again by its pixels."""
    known = {
        pixels.tobytes(): (plate, i)
        for plate, sites in screen.plates.items()
        for i, (_, pixels) in enumerate(sites)
    }
    return [known[pixels.tobytes()] for pixels in element[schema.PIXELS]]


def config(**changes: object) -> DataConfig:
    return DataConfig(minibatch_size=MINIBATCH, open_plates=2, **changes)


def test_each_minibatch_comes_from_one_plate_and_names_it(toy_screen) -> None:
    feed = build_feed(toy_screen, config())
    for element in elements(feed, 1):
        plates = {plate for plate, _ in sites_of(element, toy_screen)}
        assert plates == {feed.plates[element[PLATE]].plate_id}


def test_a_site_is_seen_once_an_epoch_unless_its_plate_is_small(toy_screen) -> None:
    feed = build_feed(toy_screen, config())
    # 28 sites of which 4 are controls; 21 of which 3; 5 of which none, which are repeated.
    assert feed.steps_per_epoch == 24 // MINIBATCH + 18 // MINIBATCH + 1
    seen = [site for element in elements(feed, 1) for site in sites_of(element, toy_screen)]
    large = [site for site in seen if site[0] != "HUVEC-02_1"]
    assert len(large) == len(set(large)) == 24 + 18
    small = [i for plate, i in seen if plate == "HUVEC-02_1"]
    assert len(small) == MINIBATCH and set(small) == set(range(5))


def test_labels_pixels_and_statistics_are_those_of_the_site(toy_screen) -> None:
    fitted = read_normaliser(toy_screen.transform_dir)
    for element in elements(build_feed(toy_screen, config()), 1):
        for row, (plate, i) in enumerate(sites_of(element, toy_screen)):
            identity, _ = toy_screen.plates[plate][i]
            assert identity.treatment == fitted.classes[element[schema.LABEL][row]]
            p = fitted.plates.index(plate)
            np.testing.assert_array_equal(element[schema.CENTER][row], fitted.center_PC[p])
            np.testing.assert_array_equal(element[schema.SCALE][row], fitted.scale_PC[p])


@pytest.mark.parametrize("cache_in_memory", [False, True])
@pytest.mark.parametrize("start_step", [1, 8, 11])
def test_a_resumed_feed_replays_exactly(toy_screen, start_step, cache_in_memory) -> None:
    feed = build_feed(toy_screen, config(cache_in_memory=cache_in_memory))
    whole = elements(feed, 2)
    assert len(whole) == 2 * feed.steps_per_epoch
    rest = elements(feed, 2, start_step)
    assert len(rest) == len(whole) - start_step
    for expected, found in zip(whole[start_step:], rest, strict=True):
        for key in expected:
            np.testing.assert_array_equal(expected[key], found[key])


def test_epochs_and_seeds_differ_and_memory_changes_nothing(toy_screen) -> None:
    feed = build_feed(toy_screen, config())
    order = [sites_of(e, toy_screen) for e in elements(feed, 2)]
    assert order[: feed.steps_per_epoch] != order[feed.steps_per_epoch :]
    other = [sites_of(e, toy_screen) for e in elements(build_feed(toy_screen, config(), 6), 2)]
    assert other != order
    held = build_feed(toy_screen, config(cache_in_memory=True))
    assert [sites_of(e, toy_screen) for e in elements(held, 2)] == order


@pytest.mark.parametrize("seed", [0, 5])
def test_a_global_seed_changes_nothing(toy_screen, seed: int) -> None:
    order = [sites_of(e, toy_screen) for e in elements(build_feed(toy_screen, config()), 2)]
    before = context.global_seed()
    tf.random.set_seed(seed)
    try:
        again = [sites_of(e, toy_screen) for e in elements(build_feed(toy_screen, config()), 2)]
        assert again == order
        assert context.global_seed() == seed
    finally:
        tf.random.set_seed(before)


def test_replicas_take_whole_minibatches_and_epochs_stay_aligned(toy_screen) -> None:
    feed = build_feed(toy_screen, config(), n_replicas=3)
    assert feed.steps_per_epoch == 2
    found = elements(feed, 2)
    assert len(found) == 2 * 2 * 3
    np.testing.assert_array_equal(
        elements(feed, 2, 3)[0][schema.PIXELS], found[3 * 3][schema.PIXELS]
    )


def test_a_plate_in_two_shards_is_one_plate(toy_screen) -> None:
    feed = build_feed(toy_screen, config())
    halves = [p for p in feed.plates if p.plate_id == "HUVEC-01_1"] * 2
    both = PlateRecords(
        "HUVEC-01_1",
        tuple(itertools.chain(*(p.files for p in halves))),
        *(
            np.concatenate([getattr(p, name) for p in halves])
            for name in ("labels", "center_NC", "scale_NC")
        ),
    )
    joined = PlateFeed([both], toy_screen.manifest, config(), 1)
    assert joined.steps_per_epoch == 48 // MINIBATCH
    seen = [site for e in elements(joined, 1) for site in sites_of(e, toy_screen)]
    assert sorted(seen) == sorted(2 * sorted(set(seen)))


def test_what_cannot_be_trained_on_is_refused(toy_screen) -> None:
    transform = load_transform(toy_screen.transform_dir)
    shards = toy_screen.manifest.of_split("train")
    arguments = (toy_screen.examples_dir, shards, transform, toy_screen.manifest)
    with pytest.raises(PlatewiseError, match=r"site HUVEC-01_1_B\d\d_\d has label 3, but there"):
        scan_plates(*arguments, n_classes=3)
    with pytest.raises(PlatewiseError, match="too few for 9 replicas"):
        build_feed(toy_screen, config(), n_replicas=9)

    def blind(raw: dict) -> dict:
        found = transform(raw)
        return found | {schema.LABEL: -1 - 0 * found[schema.LABEL]}

    with pytest.raises(PlatewiseError, match="no labelled site in split 'train'"):
        scan_plates(toy_screen.examples_dir, shards, blind, toy_screen.manifest, n_classes=4)
