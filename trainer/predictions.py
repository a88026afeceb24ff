"""Prediction rows: what the network said of each site and each well, without pixels.

Rows are tf.train.Examples in uncompressed TFRecords, one file a plate, with a
``manifest.json`` beside the splits, exactly as Examples lie. Floats that were not measured
(PSNR of most sites) are empty lists in a file and NaN in :func:`read_rows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer import schema
from trainer.errors import PlatewiseError
from trainer.manifest import Shard, open_binary, read_manifest, verify
from trainer.records import frame, read_frames

#: Key of the split that a row's site came from.
SPLIT = "split"

TEXT_COLUMNS = (
    schema.SITE_ID,
    schema.WELL_ID,
    schema.EXPERIMENT,
    schema.PLATE_ID,
    schema.WELL,
    schema.CELL_TYPE,
    schema.WELL_TYPE,
    schema.TREATMENT,
    schema.LEVEL,
    SPLIT,
)
INT_COLUMNS = (schema.SITE, schema.LABEL, schema.PLATE_KNOWN, schema.N_SITES)
FIDELITY_COLUMNS = (
    schema.PSNR_NOISY,
    schema.PSNR_DENOISED,
    schema.SSIM_NOISY,
    schema.SSIM_DENOISED,
)
VECTOR_COLUMNS = (
    schema.PROBABILITIES,
    schema.BASELINE_PROBABILITIES,
    schema.EMBEDDING,
    schema.BASELINE_EMBEDDING,
    *FIDELITY_COLUMNS,
)

#: Column name -> array: text [N] (object), int64 [N], or float32 [N, width].
Columns = dict[str, np.ndarray]


def well_rows(sites: Columns) -> Columns:
    """One row a well from the rows of its sites, in the order of their first site.

    Probabilities and embedding are the mean over the sites; ``site`` is 0; ``site_id`` is the
    well's name; ``plate_known`` is 0 if it is for any site. Fidelity is not measured.
    """
    names, first, well_of_row = np.unique(
        sites[schema.WELL_ID].astype(str), return_index=True, return_inverse=True
    )
    order = np.argsort(first, kind="stable")
    n_sites = np.bincount(well_of_row, minlength=len(names))

    def mean(values: np.ndarray) -> np.ndarray:
        sums = np.zeros((len(names), values.shape[1]), np.float64)
        np.add.at(sums, well_of_row, values.astype(np.float64))
        return (sums / n_sites[:, None])[order].astype(np.float32)

    wells: Columns = {key: sites[key][first[order]] for key in (*TEXT_COLUMNS, schema.LABEL)}
    wells[schema.SITE_ID] = wells[schema.WELL_ID]
    wells[schema.LEVEL] = np.full(len(names), schema.LEVEL_WELL, object)
    wells[schema.SITE] = np.zeros(len(names), np.int64)
    wells[schema.N_SITES] = n_sites[order].astype(np.int64)
    known = np.ones(len(names), np.int64)
    np.minimum.at(known, well_of_row, sites[schema.PLATE_KNOWN])
    wells[schema.PLATE_KNOWN] = known[order]
    for key in VECTOR_COLUMNS:
        if key in FIDELITY_COLUMNS:
            wells[key] = np.full((len(names), sites[key].shape[1]), np.nan, np.float32)
        elif key in sites:
            wells[key] = mean(sites[key])
    return wells


def join(parts: Sequence[Columns]) -> Columns:
    """The rows of several tables, one below the other."""
    keys = [key for key in parts[0] if all(key in part for part in parts)]
    return {key: np.concatenate([_widened(part, key, parts) for part in parts]) for key in keys}


def _widened(part: Columns, key: str, parts: Sequence[Columns]) -> np.ndarray:
    values = part[key]
    if values.ndim == 1:
        return values
    width = max(other[key].shape[1] for other in parts)
    return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=np.nan)


def encode_rows(rows: Columns) -> Iterator[bytes]:
    """Each row as a serialised tf.train.Example; the same row always gives the same bytes."""
    import tensorflow as tf

    texts = [(key, rows[key]) for key in TEXT_COLUMNS]
    numbers = [(key, rows[key]) for key in INT_COLUMNS]
    vectors = [(key, rows[key]) for key in VECTOR_COLUMNS if key in rows]
    for i in range(len(rows[schema.SITE_ID])):
        example = tf.train.Example()
        feature = example.features.feature
        for key, column in texts:
            feature[key].bytes_list.value.append(str(column[i]).encode())
        for key, column in numbers:
            feature[key].int64_list.value.append(int(column[i]))
        for key, column in vectors:
            values = column[i]
            measured = values[~np.isnan(values)] if key in FIDELITY_COLUMNS else values
            feature[key].float_list.value.extend(measured.tolist())
        yield bytes(example.SerializeToString(deterministic=True))


def write_rows(path: str, rows: Columns) -> tuple[int, int, str]:
    """Write rows as one TFRecord file, which appears whole or not at all.

    Returns
    -------
    Number of rows, bytes of the file and its crc32c as the manifest wants them.
    """
    import google_crc32c

    checksum, n_bytes, n_rows = google_crc32c.Checksum(), 0, 0
    temporary = f"{path}.tmp"
    with open(temporary, "wb") as stream:
        for record in encode_rows(rows):
            framed = frame(record)
            stream.write(framed)
            checksum.update(framed)
            n_bytes, n_rows = n_bytes + len(framed), n_rows + 1
    Path(temporary).replace(path)
    return n_rows, n_bytes, checksum.hexdigest().decode()


def write_plate(folder: str, split: str, plate_id: str, rows: Columns) -> Shard:
    """Write the rows of a plate where they belong; returns its entry of the manifest."""
    name = f"Split-{split}/{plate_id}-00000-of-00001"
    (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
    n_rows, n_bytes, crc32c = write_rows(str(Path(folder) / name), rows)
    experiment = str(rows[schema.EXPERIMENT][0])
    return Shard(split, plate_id, experiment, name, n_rows, n_bytes, crc32c)


def read_rows(folder: str, splits: Iterable[str] | None = None) -> Columns:
    """Rows of a folder of predictions, sites and wells, after checking the manifest.

    Parameters
    ----------
    folder
        Folder of the manifest.
    splits
        Splits to read; all where not given.

    Returns
    -------
    Columns
        Text [N] (object), int64 [N], float32 [N, width]; NaN where not measured.

    Raises
    ------
    PlatewiseError
        A shard that is not what was written, or no row at all.
    """
    wanted = None if splits is None else tuple(splits)
    parts = list(read_plates(folder, wanted))
    if not parts:
        raise PlatewiseError(
            f"{folder} has no predictions in {', '.join(wanted or ()) or 'any split'}; "
            f"it has: {', '.join(read_manifest(folder).splits()) or 'none'}"
        )
    return join(parts)


def read_plates(folder: str, splits: Iterable[str] | None = None) -> Iterator[Columns]:
    """Rows of one plate at a time: :func:`read_rows` where all would not fit in memory.

    Raises
    ------
    PlatewiseError
        A shard that is not what was written; before any row is given.
    """
    manifest = read_manifest(folder)
    wanted = manifest.splits() if splits is None else tuple(splits)
    verify(folder, manifest, wanted)
    for split in wanted:
        for shard in manifest.of_split(split):
            with open_binary(f"{folder.rstrip('/')}/{shard.name}") as stream:
                plate = _decode(read_frames(stream, shard.name))
            yield plate


def _decode(records: Iterable[bytes]) -> Columns:
    import tensorflow as tf

    found: dict[str, list[Any]] = {}
    for record in records:
        feature = tf.train.Example.FromString(record).features.feature
        for key in TEXT_COLUMNS:
            found.setdefault(key, []).append(feature[key].bytes_list.value[0].decode())
        for key in INT_COLUMNS:
            found.setdefault(key, []).append(feature[key].int64_list.value[0])
        for key in VECTOR_COLUMNS:
            if key in feature:
                values = np.array(feature[key].float_list.value, np.float32)
                found.setdefault(key, []).append(values)
    return {key: _column(key, values) for key, values in found.items()}


def _column(key: str, values: list[Any]) -> np.ndarray:
    if key in TEXT_COLUMNS:
        return np.array(values, object)
    if key in INT_COLUMNS:
        return np.array(values, np.int64)
    table = np.full((len(values), max(len(v) for v in values)), np.nan, np.float32)
    for row, value in zip(table, values, strict=True):
        row[: len(value)] = value
    return table


def keep_top_k(probabilities_NK: np.ndarray, k: int) -> np.ndarray:
    """Zero all but the ``k`` largest of each row (0 keeps all); ties go to the lower class."""
    if k <= 0 or k >= probabilities_NK.shape[1]:
        return probabilities_NK
    order = np.argsort(-probabilities_NK, axis=1, kind="stable")
    kept = np.zeros_like(probabilities_NK)
    rows = np.arange(len(kept))[:, None]
    kept[rows, order[:, :k]] = probabilities_NK[rows, order[:, :k]]
    return kept


def select(rows: Mapping[str, np.ndarray], keep: np.ndarray) -> Columns:
    """The rows where the boolean ``keep`` [N] is true."""
    return {key: values[keep] for key, values in rows.items()}
