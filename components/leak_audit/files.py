"""The quality artifact to the audit's sites, and the audit's own file.

``leaks.json``: ``format`` (1), ``passed``, and ``tests``: ``key``, ``outcome`` (pass, note, warn,
fail, untested), ``text``, ``n_found``, ``found`` (the first ones), ``facts``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from components.leak_audit.config import LeakConfig
from components.plate_example_gen.found import COMPLETE, SiteResult
from components.plate_example_gen.quality import NO_DIGEST, QualityReport, write_text
from components.plate_example_gen.storage import open_storage
from trainer.errors import PlatewiseError
from trainer.leaks import Audit, AuditSite, audit_sites
from trainer.leaks.audit import from_json
from trainer.manifest import Manifest
from trainer.strict import to_mapping

FILE_NAME = "leaks.json"
FORMAT = 1


def run_audit(
    sites: Iterable[AuditSite], groups: Mapping[str, Any] | None, config: LeakConfig
) -> Audit:
    """The audit as configured."""
    return audit_sites(list(sites), groups, **to_mapping(config))


def sites_of_results(results: Iterable[SiteResult], tokens: tuple[str, ...]) -> list[AuditSite]:
    """Sites that are in a split, as reading a plate gives them.

    Those whose images are missing are among them: names and layout are the tables'. ``tokens``
    stand for ``{channel}``.
    """
    return [
        AuditSite(
            site_id=site.identity.site_id,
            well_id=site.identity.well_id,
            plate_id=site.identity.plate_id,
            experiment=site.identity.experiment,
            well=site.identity.well,
            well_type=site.identity.well_type,
            treatment=site.identity.treatment,
            split=site.split,
            row=site.row,
            paths=tuple(site.path.replace("{channel}", token) for token in tokens),
            pixel_digests=site.pixel_digests,
            counts_digest=site.counts_digest,
        )
        for site in results
        if site.split
    ]


def sites_of_quality(quality: QualityReport) -> list[AuditSite]:
    """Sites that are in a split, as the quality artifact lists them."""
    if "pixel_digests" not in quality.sites.columns:
        raise PlatewiseError(
            "the quality artifact holds no digests: an earlier version wrote it; read the screen "
            "again (platewise run without its cache: --run.cache false)"
        )
    tokens = tuple(quality.facts.get("channel_tokens", ()))
    table = quality.sites[quality.sites["split"] != ""]
    return [
        AuditSite(
            site_id=row.site_id,
            well_id=f"{row.plate_id}_{row.well}",
            plate_id=row.plate_id,
            experiment=row.experiment,
            well=row.well,
            well_type=row.well_type,
            treatment=row.treatment,
            split=row.split,
            row=row.row,
            paths=tuple(row.path.replace("{channel}", token) for token in tokens),
            pixel_digests=tuple(
                "" if digest == NO_DIGEST else digest for digest in row.pixel_digests.split()
            ),
            counts_digest=row.counts_digest,
        )
        for row in table.itertuples(index=False)
    ]


def check_against_manifest(quality: QualityReport, manifest: Manifest) -> None:
    """Refuse a quality artifact that tells of other Examples than these.

    Raises
    ------
    PlatewiseError
        Names the first plate and split whose numbers of sites differ.
    """
    audited: dict[tuple[str, str], int] = {}
    table = quality.sites[(quality.sites["status"] == COMPLETE) & (quality.sites["split"] != "")]
    for key in zip(table["split"], table["plate_id"], strict=True):
        audited[key] = audited.get(key, 0) + 1
    stored: dict[tuple[str, str], int] = {}
    for shard in manifest.shards:
        key = (shard.split, shard.plate_id)
        stored[key] = stored.get(key, 0) + shard.n_records
    for split, plate in sorted({*audited, *stored}):
        here, there = audited.get((split, plate), 0), stored.get((split, plate), 0)
        if here != there:
            raise PlatewiseError(
                f"split {split} has {there} Examples of plate {plate}, and the quality artifact "
                f"lists {here}: they are not of one run; read the screen again"
            )


def write_audit(audit: Audit, uri: str) -> None:
    """Write ``leaks.json`` into a folder, local or in a bucket."""
    text = json.dumps({"format": FORMAT, **audit.to_json()}, indent=1, sort_keys=True) + "\n"
    write_text(open_storage(uri), f"{uri.rstrip('/')}/{FILE_NAME}", text)


def read_audit(uri: str) -> Audit:
    """Read it back.

    Raises
    ------
    PlatewiseError
        It is not there or damaged.
    """
    path = f"{uri.rstrip('/')}/{FILE_NAME}"
    try:
        plain = json.loads(open_storage(uri).read(path))
        if plain.pop("format") != FORMAT:
            raise PlatewiseError(f"{path} is not of format {FORMAT}; run the audit again")
        return from_json(plain)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlatewiseError(f"{path} cannot be read ({error}); run the pipeline again") from None
