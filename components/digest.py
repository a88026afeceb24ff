"""Digest of the code a component runs, so that a changed line is never served from the cache.

TFX keys its cache on inputs and parameters, not on code. Every component therefore carries
:func:`code_digest` of its own module as an execution property. The digest covers

- the source of the module and of every first-party module (``components``, ``trainer``) it
  imports, directly or through others, at the top or inside functions, and the packages'
  ``__init__`` files that such an import runs;
- modules named by a string, such as ``"components.normaliser.preprocessing.preprocessing_fn"``,
  which is how TFX is told what to call;
- data files (templates, style sheets) in the folders of those modules;
- the installed versions of the libraries in :data:`LIBRARIES` that those modules import: a new
  Keras may train differently.

What only a type checker imports is left out. A module name put together while running is not
seen: name it in full somewhere.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

#: First-party packages; ``pipelines`` is above components and never imported by them.
PACKAGES = ("components", "trainer")

#: Folder that holds :data:`PACKAGES`.
ROOT = Path(__file__).resolve().parent.parent

#: Imported name -> distribution whose version is part of the digest.
LIBRARIES = {
    "PIL": "pillow",
    "apache_beam": "apache-beam",
    "cv2": "opencv-python-headless",
    "imagecodecs": "imagecodecs",
    "jinja2": "jinja2",
    "keras": "keras",
    "numpy": "numpy",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "scipy": "scipy",
    "tensorflow": "tensorflow",
    "tensorflow_model_analysis": "tensorflow-model-analysis",
    "tensorflow_transform": "tensorflow-transform",
    "tfx": "tfx",
}

#: Tries at a file's syntax tree, see :func:`_parse`.
_PARSES = 5

_NOT_DATA = {".py", ".pyc", ".md", ".so"}
_DOTTED = re.compile(rf"({'|'.join(PACKAGES)})(\.[A-Za-z_]\w*)+")


def code_digest(*modules: str, root: Path = ROOT) -> str:
    """Hexadecimal digest of modules and everything of ours they depend on.

    Parameters
    ----------
    modules
        Dotted names, such as ``"components.trainer.component"``.
    root
        Folder that holds the first-party packages.

    Raises
    ------
    ModuleNotFoundError
        A name that is not a module of ours.
    """
    closure = import_closure(*modules, root=root)
    digest = hashlib.sha256()
    for path in sorted(closure | _data_files(closure)):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for name in sorted({name for path in closure for name in _scan(path)[1]} & set(LIBRARIES)):
        digest.update(f"{name}={_version(LIBRARIES[name])}\0".encode())
    return digest.hexdigest()[:16]


def import_closure(*modules: str, root: Path = ROOT) -> set[Path]:
    """Source files of modules and of every first-party module they import."""
    seen: set[Path] = set()
    waiting: list[Path] = []
    for module in modules:
        files = _files_of(module, root)
        if not files:
            raise ModuleNotFoundError(f"no module {module!r} under {' or '.join(PACKAGES)}/")
        waiting += files
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        package = ".".join(path.relative_to(root).parent.parts)
        for name in _scan(path)[0]:
            absolute = _absolute(name, package)
            waiting += [file for file in _files_of(absolute, root) if file not in seen]
    return seen


def _files_of(name: str, root: Path) -> list[Path]:
    """Files that importing ``name`` runs: each package's ``__init__`` and the module.

    ``name`` may end in attributes (``trainer.presets.preset``), which name no file.
    """
    parts = name.split(".")
    if parts[0] not in PACKAGES:
        return []
    files = []
    for depth in range(1, len(parts) + 1):
        base = root.joinpath(*parts[:depth])
        if (base / "__init__.py").is_file():
            files.append(base / "__init__.py")
        elif base.with_suffix(".py").is_file():
            return [*files, base.with_suffix(".py")]
        else:
            break
    return files


def _absolute(name: str, package: str) -> str:
    """Resolve a relative import (``.config``, ``..schema``) seen in ``package``."""
    bare = name.lstrip(".")
    level = len(name) - len(bare)
    if level == 0:
        return name
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - level + 1], *([bare] if bare else [])])


def _data_files(closure: set[Path]) -> set[Path]:
    folders = {path.parent for path in closure if path.parent.name not in PACKAGES}
    return {
        path
        for folder in folders
        for path in folder.iterdir()
        if path.is_file() and path.suffix not in _NOT_DATA and not path.name.startswith(".")
    }


def _scan(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Names a file imports or names in full, and the top-level packages among them."""
    stat = path.stat()
    return _scan_version(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)
def _scan_version(
    path: Path, mtime_ns: int, size_bytes: int
) -> tuple[frozenset[str], frozenset[str]]:
    names = frozenset(_imported(_parse(path)))
    return names, frozenset(name.split(".")[0] for name in names if not name.startswith("."))


def _parse(path: Path) -> ast.AST:
    """Syntax tree of a file.

    CPython 3.11 counts the depth of a tree once for all threads. If a finalizer runs while one is
    built, and it or another thread parses something too (printing a traceback does), the counts
    no longer match and a sound file raises SystemError
    (https://github.com/python/cpython/issues/106905). So that is tried again.
    """
    for _ in range(_PARSES - 1):
        try:
            return ast.parse(path.read_bytes(), filename=str(path))
        except SystemError:
            continue
    return ast.parse(path.read_bytes(), filename=str(path))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in _walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            separator = "" if base.endswith(".") else "."
            yield base
            yield from (f"{base}{separator}{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and _is_dotted_name(node.value):
            yield str(node.value)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only a type checker reads."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            for branch in child.orelse:
                yield from _walk(branch)
        else:
            yield from _walk(child)


def _is_dotted_name(value: object) -> bool:
    return isinstance(value, str) and _DOTTED.fullmatch(value) is not None


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


@lru_cache(maxsize=64)
def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "none"
