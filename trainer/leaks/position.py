"""Whether the place of a well on its plate tells its treatment, with no look at the image.

A classifier that knows positions alone is trained on the training experiments (how often each
treatment stood at each position) and names the treatments of the held-out ones. It is compared
with treatments shuffled within each held-out plate: that keeps what the plates hold, so that
groups of treatments that always share a plate, which are another leak, do not count as this one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer import schema
from trainer.leaks.shared import AuditSite

#: Splits whose wells are named by the classifier.
_HELD_OUT = (schema.SPLIT_EVAL, schema.SPLIT_TEST)
#: Permutations of all plates held at once.
_CHUNK = 256


@dataclass(frozen=True)
class PositionScore:
    """How often a position alone names the treatment of a held-out well."""

    #: ``well``, or ``plate number and well``.
    position: str
    n_wells: int
    n_correct: int
    #: Number of right answers to expect where treatments stand at random within each plate.
    expected_correct: float
    #: Guessing among all treatments: 1 / their number, 0..1.
    chance: float
    #: Share of shuffled layouts that give as many right answers or more, the observed one
    #: among them; in (0, 1], small where position tells the treatment.
    p_value: float

    @property
    def accuracy(self) -> float:
        """Share of held-out wells named rightly, 0..1."""
        return self.n_correct / self.n_wells

    @property
    def expected(self) -> float:
        """Accuracy to expect where position tells nothing, 0..1."""
        return self.expected_correct / self.n_wells


_POSITIONS: dict[str, Callable[[AuditSite], Hashable]] = {
    "well": lambda site: site.well,
    "plate number and well": lambda site: (_plate_number(site), site.well),
}


def position_score(
    sites: Iterable[AuditSite], permutations: int = 1999, seed: int = 0
) -> tuple[PositionScore, ...]:
    """Score of the classifier by well, and by plate number and well.

    Parameters
    ----------
    sites
        All sites; treatment wells with a treatment that training has are used, each once.
    permutations
        Shuffled layouts of the held-out plates; 1 / (permutations + 1) is the smallest p-value.
    seed
        Of the shuffling.

    Returns
    -------
    Two scores, or none where no training well or no held-out well is labelled.
    """
    wells = {
        (site.split, site.well_id): site  # sites of one well may lie in train and in id_test
        for site in sites
        if site.well_type == schema.WELL_TREATMENT and site.treatment
    }
    training = [site for site in wells.values() if site.split == schema.SPLIT_TRAIN]
    overall = Counter(site.treatment for site in training)
    held_out = [s for s in wells.values() if s.split in _HELD_OUT and s.treatment in overall]
    if not training or not held_out:
        return ()
    classes = {name: k for k, name in enumerate(sorted(overall, key=schema.natural_key))}
    return tuple(
        _score(name, position_of, training, held_out, classes, permutations, seed)
        for name, position_of in _POSITIONS.items()
    )


def _score(
    name: str,
    position_of: Callable[[AuditSite], Hashable],
    training: Sequence[AuditSite],
    held_out: Sequence[AuditSite],
    classes: dict[str, int],
    permutations: int,
    seed: int,
) -> PositionScore:
    answer = _classifier(training, position_of, classes)
    plates: dict[str, list[AuditSite]] = defaultdict(list)
    for site in held_out:
        plates[site.plate_id].append(site)
    rng = np.random.default_rng(seed)
    n_correct, expected, shuffled_N = 0, 0.0, np.zeros(permutations, np.int64)
    for members in plates.values():
        said = np.array([answer(position_of(site)) for site in members])
        label = np.array([classes[site.treatment] for site in members])
        n_correct += int((said == label).sum())
        expected += (said[:, None] == label[None, :]).sum() / len(members)
        shuffled_N += _shuffled(rng, said, label, permutations)
    at_least = int((shuffled_N >= n_correct).sum())
    return PositionScore(
        position=name,
        n_wells=len(held_out),
        n_correct=n_correct,
        expected_correct=float(expected),
        chance=1 / len(classes),
        p_value=(1 + at_least) / (1 + permutations),
    )


def _shuffled(
    rng: np.random.Generator, said: NDArray[np.int64], label: NDArray[np.int64], n: int
) -> NDArray[np.int64]:
    """Right answers on one plate under each of ``n`` random orders of its treatments."""
    if not np.isin(said, label).any():
        return np.zeros(n, np.int64)
    parts = []
    for start in range(0, n, _CHUNK):
        rows = min(_CHUNK, n - start)
        order = rng.permuted(np.broadcast_to(label, (rows, len(label))), axis=1)
        parts.append((order == said).sum(axis=1))
    return np.concatenate(parts)


def _classifier(
    training: Sequence[AuditSite],
    position_of: Callable[[AuditSite], Hashable],
    classes: dict[str, int],
) -> Callable[[Hashable], int]:
    """The likeliest treatment at a position: its frequency there, shrunk towards the overall one.

    Shrinking decides where treatments tie, and names the commonest treatment at a position that
    training never saw.
    """
    overall = Counter(classes[site.treatment] for site in training)
    there: dict[Hashable, Counter[int]] = defaultdict(Counter)
    for site in training:
        there[position_of(site)][classes[site.treatment]] += 1
    commonest = min(overall, key=lambda k: (-overall[k], k))

    def likeliest(counts: Counter[int]) -> int:
        return min(counts, key=lambda k: (-(counts[k] + overall[k] / len(training)), k))

    best = {position: likeliest(counts) for position, counts in there.items()}
    return lambda position: best.get(position, commonest)


def _plate_number(site: AuditSite) -> str:
    return site.plate_id.removeprefix(f"{site.experiment}_")
