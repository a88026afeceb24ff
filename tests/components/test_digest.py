"""The digest changes with what a component depends on, and with nothing else."""

from __future__ import annotations

import ast
import gc
from pathlib import Path

import pytest

from components import digest
from components.digest import code_digest, import_closure

FILES = {
    "components/__init__.py": "",
    "components/alpha/__init__.py": "",
    "components/alpha/component.py": "from components.alpha import executor\n",
    "components/alpha/executor.py": "def run():\n    from trainer.maths import double\n",
    "components/alpha/page.html.j2": "<p>{{ x }}</p>",
    "components/alpha/README.md": "words",
    "components/beta/__init__.py": "",
    "components/beta/component.py": "PREPROCESSING = 'components.beta.preprocessing.fn'\n",
    "components/beta/preprocessing.py": "from ..shared import helper\n",
    "components/shared.py": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import trainer.typing_only\n"
    ),
    "trainer/__init__.py": "",
    "trainer/maths.py": "from . import constants\nfrom .models.block import Block\n",
    "trainer/constants.py": "TWO = 2\n",
    "trainer/models/__init__.py": "",
    "trainer/models/block.py": "import keras\nimport trainer.maths\n",
    "trainer/unrelated.py": "",
    "trainer/typing_only.py": "",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def alpha(tree: Path) -> str:
    return code_digest("components.alpha.component", root=tree)


def beta(tree: Path) -> str:
    return code_digest("components.beta.component", root=tree)


def test_closure_follows_every_kind_of_import(tree: Path) -> None:
    names = {
        path.relative_to(tree).as_posix()
        for path in import_closure("components.alpha.component", root=tree)
    }
    assert names == {
        "components/__init__.py",
        "components/alpha/__init__.py",
        "components/alpha/component.py",
        "components/alpha/executor.py",
        "trainer/__init__.py",
        "trainer/maths.py",
        "trainer/constants.py",
        "trainer/models/__init__.py",
        "trainer/models/block.py",
    }


@pytest.mark.parametrize(
    ("changed", "alpha_changes", "beta_changes"),
    [
        ("components/alpha/executor.py", True, False),
        ("components/alpha/page.html.j2", True, False),
        ("components/alpha/README.md", False, False),
        ("components/beta/preprocessing.py", False, True),
        ("components/shared.py", False, True),
        ("components/__init__.py", True, True),
        ("trainer/constants.py", True, False),
        ("trainer/models/__init__.py", True, False),
        ("trainer/models/block.py", True, False),
        ("trainer/unrelated.py", False, False),
        ("trainer/typing_only.py", False, False),
    ],
)
def test_a_changed_line_changes_exactly_what_depends_on_it(
    tree: Path, changed: str, alpha_changes: bool, beta_changes: bool
) -> None:
    before = alpha(tree), beta(tree)
    path = tree / changed
    path.write_text(path.read_text() + "\n# one more line\n")
    after = alpha(tree), beta(tree)
    assert (before[0] != after[0], before[1] != after[1]) == (alpha_changes, beta_changes)


def test_digest_does_not_depend_on_where_the_tree_lies(tree: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "deeper" / "copy"
    for name, text in FILES.items():
        path = elsewhere / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert alpha(tree) == alpha(elsewhere)


def test_a_new_version_of_an_imported_library_changes_the_digest(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = alpha(tree), beta(tree)
    monkeypatch.setattr(digest, "_version", lambda name: "99.0")
    assert alpha(tree) != before[0]
    assert beta(tree) == before[1], "beta imports no library"


def test_unknown_module_is_named(tree: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="numpy"):
        code_digest("numpy", root=tree)


class ParsesWhenCollected:
    """Garbage whose finalizer parses, as one that prints a traceback does."""

    n_collected = 0

    def __init__(self) -> None:
        self.cycle = self

    def __del__(self) -> None:
        ast.parse("x = 1")
        ParsesWhenCollected.n_collected += 1


def test_garbage_collected_while_a_file_is_parsed_does_no_harm() -> None:
    expected = code_digest("components.digest", "trainer.strict")
    before, thresholds = ParsesWhenCollected.n_collected, gc.get_threshold()
    gc.collect()
    gc.set_threshold(100)
    try:
        for _ in range(50):
            digest._scan_version.cache_clear()
            ParsesWhenCollected()
            assert code_digest("components.digest", "trainer.strict") == expected
    finally:
        gc.set_threshold(*thresholds)
    assert ParsesWhenCollected.n_collected > before


def test_real_trainer_closure_reaches_the_science() -> None:
    names = {path.name for path in import_closure("components.trainer.component")}
    assert {"train.py", "config.py", "schema.py", "executor.py"} <= names
