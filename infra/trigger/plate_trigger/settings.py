"""What the service is told by its environment; Terraform sets it (``trigger.tf``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

#: Columns of the table that a path can be made of, by the name that the path template knows.
COLUMNS = ("experiment", "plate", "well", "site", "dataset", "cell_type")


class SettingsError(Exception):
    """A variable that is missing or not what it should be."""


@dataclass(frozen=True)
class Settings:
    """Where plates land, how their files are named, and what is started."""

    project: str
    region: str
    #: Bucket that plates land in, and the prefix that they land under:
    #: ``gs://BUCKET/PREFIX/SCREEN/PLATE/...``.
    bucket: str
    prefix: str
    #: ``gs://BUCKET/FOLDER/`` of one small object for each plate that was started.
    markers: str
    #: Address of the compiled scoring pipeline in the registry.
    template: str
    pipeline_root: str
    service_account: str
    #: Table in the plate's folder that lists its wells.
    table: str = "metadata.csv"
    path_template: str = "images/{experiment}/Plate{plate}/{well}_s{site}_w{channel}.png"
    #: What ``{channel}`` becomes, one entry a channel.
    channels: tuple[str, ...] = ("1", "2", "3", "4", "5", "6")
    #: Sites of a well where the table has no column of sites.
    sites: tuple[int, ...] = (1, 2)
    #: Our name of a column -> the table's.
    columns: Mapping[str, str] = field(default_factory=dict)
    #: Runtime parameters of the pipeline beside ``screen_root``.
    parameters: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    encryption_key: str = ""

    def __post_init__(self) -> None:
        for name in ("project", "region", "bucket", "template", "pipeline_root", "service_account"):
            if not getattr(self, name):
                raise SettingsError(f"PLATEWISE_{name.upper()} is not set")
        if not self.markers.startswith("gs://"):
            raise SettingsError(f"PLATEWISE_MARKERS is gs://BUCKET/FOLDER/; got {self.markers!r}")
        if unknown := set(self.columns) - set(COLUMNS):
            raise SettingsError(
                f"PLATEWISE_COLUMNS maps {', '.join(sorted(unknown))}; known: {', '.join(COLUMNS)}"
            )
        try:
            example = dict.fromkeys(COLUMNS, "A1") | {"site": 1, "channel": "1"}
            self.path_template.format(**example)
        except (KeyError, IndexError, ValueError) as error:
            raise SettingsError(
                f"PLATEWISE_PATH_TEMPLATE {self.path_template!r}: {error!r}; known fields: "
                f"{', '.join((*COLUMNS, 'channel'))}"
            ) from error

    def column(self, name: str) -> str:
        """The table's own name of a column."""
        return self.columns.get(name, name)


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Settings from ``PLATEWISE_*``; lists and mappings are JSON.

    Raises
    ------
    SettingsError
        Names the variable.
    """
    given: dict[str, Any] = {}
    for entry in fields(Settings):
        variable = f"PLATEWISE_{entry.name.upper()}"
        text = environment.get(variable)
        if text is None:
            if entry.default is MISSING and entry.default_factory is MISSING:
                given[entry.name] = ""  # refused below, with the variable's name
            continue
        kind = str(entry.type)
        if kind == "str":
            given[entry.name] = text
            continue
        try:
            value = json.loads(text)
        except ValueError as error:
            raise SettingsError(f"{variable} is not JSON: {text!r}") from error
        if not isinstance(value, list if kind.startswith("tuple") else dict):
            raise SettingsError(f"{variable} is not a {kind}: {text!r}")
        given[entry.name] = tuple(value) if kind.startswith("tuple") else value
    return Settings(**given)
