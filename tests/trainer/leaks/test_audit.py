"""Every planted leak is caught and named; a clean screen passes."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, hypergeom

from trainer.leaks import AuditSite, audit_sites, find_shared, position_score
from trainer.leaks.audit import from_json

EXPERIMENTS = {"A-1": "train", "A-2": "train", "A-3": "train", "A-4": "eval", "A-5": "test"}
N_TREATMENTS, N_PLATES = 24, 2


def screen(fixed_layout: bool = False, seed: int = 0) -> list[AuditSite]:
    """Five experiments, two plates of 24 treatments in random wells, two sites a well."""
    rng = np.random.default_rng(seed)
    sites = []
    for experiment, split in EXPERIMENTS.items():
        for plate in range(1, N_PLATES + 1):
            order = np.arange(N_TREATMENTS) if fixed_layout else rng.permutation(N_TREATMENTS)
            for place, treatment in enumerate(order):
                for site in (1, 2):
                    well = f"B{place + 2:02d}"
                    name = f"{experiment}_{plate}_{well}"
                    sites.append(
                        AuditSite(
                            site_id=f"{name}_{site}",
                            well_id=name,
                            plate_id=f"{experiment}_{plate}",
                            experiment=experiment,
                            well=well,
                            well_type="treatment",
                            treatment=f"s{treatment}",
                            split=split,
                            row=f"metadata.csv line {len(sites) + 2}",
                            paths=(f"{name}_s{site}_w1.png", f"{name}_s{site}_w2.png"),
                            pixel_digests=(f"{name}{site}x", f"{name}{site}y"),
                            counts_digest=f"{name}{site}z",
                        )
                    )
    return sites


def outcomes(sites: list[AuditSite], **options) -> dict[str, str]:
    return {test.key: test.outcome for test in audit_sites(sites, None, **options).tests}


CLEAN = dict.fromkeys(
    ("experiments", "wells", "sites", "pixels", "copies", "groups", "position"), "pass"
)


def test_a_clean_screen_passes():
    audit = audit_sites(screen(), None)
    assert outcomes(screen()) == CLEAN
    assert not audit.failed
    assert from_json(audit.to_json()) == audit


def planted(**changes) -> list[AuditSite]:
    """The last site (split ``test``) made like the first (``train``) in something."""
    sites = screen()
    sites[-1] = replace(sites[-1], **changes)
    return sites


@pytest.mark.parametrize(
    ("changes", "caught"),
    [
        ({"experiment": "A-1"}, {"experiments"}),
        ({"well_id": "A-1_1_B02"}, {"wells"}),
        ({"site_id": "A-1_1_B02_1"}, {"sites"}),
        ({"pixel_digests": ("other", "A-1_1_B021y")}, {"pixels"}),
        ({"counts_digest": "A-1_1_B021z"}, {"copies"}),
    ],
)
def test_a_planted_leak_is_caught_and_both_places_are_named(changes, caught):
    audit = audit_sites(planted(**changes), None)
    assert {test.key for test in audit.failed} == caught
    (test,) = audit.failed
    assert test.n_found == 1
    (found,) = test.found
    assert "metadata.csv line 2" in found
    assert "metadata.csv line 481" in found
    assert found in test.text
    assert set(outcomes(planted(**changes), on_leak="warn").values()) == {"pass", "warn"}


def test_the_file_of_a_shared_channel_is_named():
    found = find_shared(planted(pixel_digests=("A-1_1_B021y", "")))["pixels"]
    assert len(found) == 1
    assert "A-1_1_B02_s1_w2.png" in found[0].text
    assert "A-5_2_B25_s2_w1.png" in found[0].text


def test_all_channels_of_a_copied_site_are_one_finding():
    digests = ("A-1_1_B021x", "A-1_1_B021y")
    found = find_shared(planted(pixel_digests=digests, counts_digest="A-1_1_B021z"))
    assert len(found["pixels"]) == 1
    assert "2 channels are the same" in found["pixels"][0].text
    assert found["counts"] == []


def test_a_repeat_within_a_split_is_a_warning():
    sites = screen()
    sites[5] = replace(sites[5], pixel_digests=sites[0].pixel_digests)
    assert outcomes(sites) == CLEAN | {"repeats": "warn"}


def test_blank_channels_are_no_copies():
    sites = [replace(site, pixel_digests=("", ""), counts_digest="") for site in screen()]
    assert outcomes(sites) == {
        key: "untested" if key == "pixels" else value
        for key, value in CLEAN.items()
        if key != "copies"
    }


def test_the_declared_in_distribution_split_may_share_wells():
    sites = [
        replace(site, split="id_test")
        if site.split == "train" and site.site_id[-1] == "2"
        else site
        for site in screen()
    ]
    assert outcomes(sites) == CLEAN
    sites[1] = replace(sites[1], pixel_digests=sites[0].pixel_digests)
    assert outcomes(sites) == CLEAN | {"repeats": "warn"}
    undeclared = [replace(s, split="eval") if s.split == "id_test" else s for s in sites]
    assert outcomes(undeclared)["wells"] == outcomes(undeclared)["experiments"] == "fail"


def test_a_fixed_layout_tells_treatments():
    sites = screen(fixed_layout=True)
    (by_well, by_plate) = position_score(sites, permutations=199)
    assert by_well.accuracy == by_plate.accuracy == 1
    assert by_well.expected == pytest.approx(1 / N_TREATMENTS)
    assert by_well.p_value == pytest.approx(1 / 200)
    assert outcomes(sites) == CLEAN | {"position": "warn"}
    audit = audit_sites(sites, None, on_position="fail")
    assert [test.key for test in audit.failed] == ["position"]
    assert "100 % of 96 held-out wells" in audit.failed[0].text


def test_p_values_are_those_of_the_matching_distribution():
    """Where one well decides, the law of its content is known (SciPy's hypergeometric)."""
    sites = [
        AuditSite(f"{e}_1_{w}_1", f"{e}_1_{w}", f"{e}_1", e, w, "treatment", t, split)
        for e, split, row in (("T", "train", "aab"), ("H", "eval", "aabbbb"))
        for w, t in zip("ABCDEF", row, strict=False)
    ]
    score = position_score(sites, permutations=4999)[0]
    # Training says a a b at A B C, and a, the commonest, at D E F. So three are right where well
    # C holds a b, and one where it holds an a.
    holds_a = hypergeom(6, 2, 1).pmf(1)
    assert score.n_correct == 3
    assert score.expected_correct == pytest.approx(3 * (1 - holds_a) + holds_a)
    assert score.p_value == pytest.approx(1 - holds_a, abs=0.03)


def test_p_values_of_clean_screens_are_uniform():
    small = [position_score(screen(seed=s), 199, s)[0].p_value <= 0.1 for s in range(60)]
    assert binomtest(sum(small), len(small), 0.1, alternative="greater").pvalue > 0.001


def test_plate_groups_do_not_count_as_position():
    """Which plate a treatment stands on is fixed; where on it, is not."""
    rng = np.random.default_rng(3)
    sites = []
    for experiment, split in EXPERIMENTS.items():
        for plate in (1, 2):
            for place, k in enumerate(rng.permutation(N_TREATMENTS)):
                name = f"{experiment}_{plate}_{place}"
                site = AuditSite(
                    f"{name}_1", name, f"{experiment}_{plate}", experiment, str(place),
                    "treatment", f"s{plate}-{k}", split,
                )  # fmt: skip
                sites.append(site)
    by_plate = position_score(sites, 499)[1]
    assert by_plate.chance == 1 / (2 * N_TREATMENTS)
    assert by_plate.expected == pytest.approx(1 / N_TREATMENTS)
    assert by_plate.p_value > 0.01


def test_without_held_out_labels_positions_are_not_tested():
    sites = [dataclasses.replace(s, treatment="") if s.split != "train" else s for s in screen()]
    assert position_score(sites) == ()
    assert outcomes(sites)["position"] == "untested"


def test_groups_are_told_with_what_they_are_worth():
    groups = {
        "sizes": [277] * 4, "chance": 1 / 1108, "chance_with_group": 1 / 277,
        "group_from_plate_number": 0.75, "n_experiments": 33,
    }  # fmt: skip
    test = next(t for t in audit_sites(screen(), groups).tests if t.key == "groups")
    assert test.outcome == "note"
    assert test.facts["gain"] == pytest.approx(4)
    assert "0.36 % of wells instead of 0.09 %, 4.0 times" in test.text
