"""Well embeddings out of prediction rows: 512 numbers a well, 130 MB for all of RxRx1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer import schema
from trainer.manifest import read_manifest
from trainer.predictions import SPLIT, Columns, read_plates

#: Splits whose experiments are compared; the in-distribution one holds training wells again.
_SPLITS = (schema.SPLIT_TRAIN, schema.SPLIT_EVAL, schema.SPLIT_TEST)
_NAMES = (
    schema.EXPERIMENT,
    schema.CELL_TYPE,
    schema.PLATE_ID,
    schema.WELL,
    schema.WELL_TYPE,
    schema.TREATMENT,
    SPLIT,
)


@dataclass(frozen=True, eq=False)
class WellProfiles:
    """Well rows of a screen."""

    #: float32 [N, D].
    embedding_ND: np.ndarray
    #: The latest blessed model's, of the same wells; None where rows carry none.
    baseline_ND: np.ndarray | None
    #: Column -> text [N].
    names: Columns
    #: int64 [N], -1 where unknown.
    label_N: np.ndarray

    @property
    def treated(self) -> np.ndarray:
        """Wells that metrics are taken of: treatments, their names known where there are any."""
        wells = np.isin(self.names[schema.WELL_TYPE].astype(str), [schema.WELL_TREATMENT, ""])
        return wells & (self.label_N >= 0) if self.labelled else wells

    @property
    def labelled(self) -> bool:
        """Whether the treatment of any well is known."""
        return bool((self.label_N >= 0).any())


def write_embeddings(path: str, profiles: WellProfiles, embedding_ND: np.ndarray) -> None:
    """Write one row a well: who it is, and ``embedding``, list<float32>, as corrected."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows_ND = np.ascontiguousarray(embedding_ND, np.float32)
    columns = {key: pa.array(values.astype(str)) for key, values in profiles.names.items()}
    starts = pa.array(np.arange(len(rows_ND) + 1, dtype=np.int32) * rows_ND.shape[1])
    columns[schema.EMBEDDING] = pa.ListArray.from_arrays(starts, pa.array(rows_ND.ravel()))
    pq.write_table(pa.table(columns), path)


def read_profiles(folder: str) -> WellProfiles | None:
    """Wells of all experiments, or of the plates that were scored; None without any.

    Raises
    ------
    PlatewiseError
        Damaged predictions.
    """
    there = read_manifest(folder).splits()
    wanted = [split for split in _SPLITS if split in there]
    wanted = wanted or [split for split in (schema.SPLIT_SCORE,) if split in there]
    keys = (*_NAMES, schema.LABEL, schema.EMBEDDING, schema.BASELINE_EMBEDDING)
    parts: list[Columns] = []
    for plate in read_plates(folder, wanted):
        wells = plate[schema.LEVEL].astype(str) == schema.LEVEL_WELL
        parts.append({key: plate[key][wells] for key in keys if key in plate})
    if not parts:
        return None
    joined = {key: np.concatenate([p[key] for p in parts]) for key in (*_NAMES, schema.LABEL)}
    baseline = None
    if all(schema.BASELINE_EMBEDDING in part for part in parts):
        baseline = np.concatenate([part[schema.BASELINE_EMBEDDING] for part in parts])
    return WellProfiles(
        np.concatenate([part[schema.EMBEDDING] for part in parts]),
        baseline,
        {key: joined[key] for key in _NAMES},
        joined[schema.LABEL],
    )
