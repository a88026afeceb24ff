"""Make an installed folder small and the same on every build.

Usage: slim.py FOLDER

Removes what only compiling against a package needs (headers, static libraries) and the largest of
the packages' own tests, and writes bytecode that names its source by hash, never by time: Python
then neither checks nor rewrites it. Standard library only.
"""

from __future__ import annotations

import compileall
import py_compile
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

#: Below site-packages: headers of C and C++, tests, and a top-level `tests` of some wheel's.
SURPLUS = (
    *("numpy/_core/include", "pyarrow/include", "tensorflow/include"),
    *("google/genai/tests", "pandas/tests", "pyarrow/tests", "scipy/*/tests", "sklearn/*/tests"),
    *("tests", "tfx/components/testdata"),
)
SUFFIXES = (".a", ".h", ".hpp", ".pxd", ".pyx")


def main(folder: Path) -> None:
    """Slim the folder; prints what that saved."""
    before = _size_bytes(folder)
    for packages in folder.glob("lib/python*/site-packages"):
        for path in [path for pattern in SURPLUS for path in packages.glob(pattern)]:
            shutil.rmtree(path)
    for path in list(_files(folder)):
        if path.suffix in SUFFIXES:
            path.unlink()
    _compile(folder)
    print(f"{folder}: {before / 1e6:.0f} MB, now {_size_bytes(folder) / 1e6:.0f} MB with bytecode")


def _compile(folder: Path) -> None:
    # One process: the references inside a code object, and so its bytes, hang on what was
    # compiled before it. Some packages carry files for other Pythons: those do not compile.
    compileall.compile_dir(
        folder,
        quiet=2,
        workers=1,
        force=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in _files(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
