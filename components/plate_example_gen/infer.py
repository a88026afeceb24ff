"""A screen without any table: plates, wells and sites read off the paths of its images.

For scoring alone: paths say where an image belongs, never what was done to it.
"""

from __future__ import annotations

import re
import string
from collections import Counter

from components.plate_example_gen.config import ScreenConfig
from components.plate_example_gen.screen import Problems, Row, Screen, ScreenError, assemble
from components.plate_example_gen.storage import Storage
from components.plate_example_gen.tables import KAGGLE_TEMPLATE, OFFICIAL_TEMPLATE
from trainer import schema

_TEMPLATES = (
    OFFICIAL_TEMPLATE,
    KAGGLE_TEMPLATE.replace("{dataset}", "train"),
    KAGGLE_TEMPLATE.replace("{dataset}", "test"),
    KAGGLE_TEMPLATE.replace("{dataset}/", ""),
)


def infer_screen(config: ScreenConfig, storage: Storage) -> Screen:
    """Plates from the files under the root, all wells without a label.

    Raises
    ------
    ScreenError
        No path fits ``path_template``, or any of RxRx1's where none is given.
    """
    templates = (config.path_template,) if config.path_template else _TEMPLATES
    patterns = {template: path_pattern(template) for template in templates}
    sites: dict[str, set[tuple[str, str, str, str, str]]] = {t: set() for t in templates}
    found: Counter[str] = Counter()
    tokens, root = set(config.tokens()), config.root.rstrip("/")
    for folder, names in storage.walk(root):
        inside = folder[len(root) + 1 :]
        for name in names:
            path = f"{inside}/{name}" if inside else name
            for template, pattern in patterns.items():
                match = pattern.fullmatch(path)
                value = match.groupdict() if match else {}
                if value.get("channel") in tokens and value.get("site", "1").isdigit():
                    found[template] += 1
                    names_ = (value.get(key, "") for key in ("experiment", "plate", "well"))
                    experiment, plate, well = names_
                    site, dataset = value.get("site", "1"), value.get("dataset", "")
                    sites[template].add((experiment, plate, well, site, dataset))
    if not found:
        raise ScreenError(
            f"{config.root} has neither a table that we know (metadata.csv, train.csv, ...) nor "
            f"images at {' or '.join(templates)}; give the folder of the screen, or its columns "
            "and path_template in [screen]"
        )
    template = found.most_common(1)[0][0]
    rows = [
        Row(0, 0, e, p, w, (int(s),), e.rpartition("-")[0] or "unknown",
            schema.WELL_TREATMENT, "", d)
        for e, p, w, s, d in sorted(sites[template])
    ]  # fmt: skip
    return assemble(config.root, "files", ("(no table)",), template, rows, Problems())


def path_pattern(template: str) -> re.Pattern[str]:
    """Regular expression with a named group for each field of a path template."""
    parts, seen = [], set()
    for text, name, _, _ in string.Formatter().parse(template):
        parts.append(re.escape(text))
        if name:
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+?)")
            seen.add(name)
    return re.compile("".join(parts))
