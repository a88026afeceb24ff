"""What the images install: all that is needed, nothing for developing, hashes for everything."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKER = REPOSITORY / "infra/docker"
sys.path.insert(0, str(DOCKER))

import runtime_lock  # noqa: E402  (its folder is put on the path above)

VARIANTS = ("tpu", "gpu", "cpu")
LOCK = (REPOSITORY / "requirements.lock").read_text()
DEV_ONLY = (DOCKER / "dev-only.txt").read_text()


def _versions(lock: str) -> dict[str, str]:
    pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", lock, re.MULTILINE)
    return {runtime_lock.normal(name): version for name, version in pins}


def _trainer_lock(variant: str) -> dict[str, str]:
    shared = (DOCKER / "trainer.lock").read_text()
    return _versions(shared + (DOCKER / f"trainer-{variant}.lock").read_text())


def _required() -> set[str]:
    """The project's dependencies and theirs, as the installed packages themselves say."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(text) for text in project["dependencies"]]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        key = runtime_lock.normal(wanted.name), frozenset(wanted.extras)
        if key in seen:
            continue
        seen.add(key)
        for text in importlib.metadata.distribution(wanted.name).requires or []:
            needed = Requirement(text)
            extras = ("", *wanted.extras)
            if not needed.marker or any(needed.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(needed)
    return {name for name, _ in seen}


def test_only_what_developing_alone_needs_is_left_out() -> None:
    locked, required = set(_versions(LOCK)), _required()

    assert required <= locked
    assert runtime_lock.names(DEV_ONLY) == locked - required


def test_the_runtime_part_keeps_every_pin_and_hash() -> None:
    part = runtime_lock.runtime(LOCK, DEV_ONLY)

    kept = set(_versions(LOCK)) - runtime_lock.names(DEV_ONLY)
    assert _versions(part) == {name: _versions(LOCK)[name] for name in kept}
    for name, entry in runtime_lock.entries(part).items():
        assert entry == runtime_lock.entries(LOCK)[name]
    assert not {"pytest", "ruff", "mypy", "uv"} & kept


def test_a_stale_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not in the lock.*no-such-tool"):
        runtime_lock.runtime(LOCK, DEV_ONLY + "no_such_tool\n")


def test_a_pin_without_a_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="no hash for b"):
        runtime_lock.entries("a==1 \\\n    --hash=sha256:00\nb==2\n")
    with pytest.raises(ValueError, match="line 1 belongs to no package"):
        runtime_lock.entries("--index-url somewhere\n")


def test_shared_and_added_make_each_lock_again() -> None:
    a, b, c = (f"{name}==1 \\\n    --hash=sha256:0{name}\n" for name in "abc")
    shared = runtime_lock.common([a + b, a + c])

    assert shared == a
    assert runtime_lock.without(shared, a + b) == b
    assert runtime_lock.only("b,a", a + b + c) == b + a
    with pytest.raises(ValueError, match="not in the lock: z"):
        runtime_lock.only("z", a)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_trainer_has_no_tfx(variant: str) -> None:
    locked = set(_trainer_lock(variant))

    unwanted = r"tfx|kfp|ml-metadata|apache-beam|tensorflow-(transform|model|data|serving)|google-c"
    assert {name for name in locked if re.match(unwanted, name)} == {"google-crc32c"}
    assert not locked & runtime_lock.names(DEV_ONLY)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_trainer_installs_all_that_it_asks_for(variant: str) -> None:
    locked = _trainer_lock(variant)
    asked = (DOCKER / "trainer.in").read_text() + (DOCKER / f"trainer-{variant}.in").read_text()
    lines = [line.partition("#")[0].strip() for line in asked.splitlines()]

    for line in filter(None, lines):
        wanted = Requirement(line)
        assert wanted.specifier.contains(locked[runtime_lock.normal(wanted.name)]), line


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_images_share_their_versions(variant: str) -> None:
    locked, components = _trainer_lock(variant), _versions(LOCK)
    # TensorFlow is older there (the newest for TPU), and tensorboard goes with it.
    differing = {name for name in locked if components.get(name, locked[name]) != locked[name]}
    assert differing <= {"tensorflow", "tensorboard"}


def test_one_tensorflow_trains_everywhere() -> None:
    names = {"tpu": "tensorflow-tpu", "gpu": "tensorflow", "cpu": "tensorflow-cpu"}
    versions = {variant: _trainer_lock(variant)[name] for variant, name in names.items()}
    assert set(versions.values()) == {"2.20.0"}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    (wanted,) = [
        Requirement(text)
        for text in project["optional-dependencies"]["trainer"]
        if Requirement(text).name == "tensorflow"
    ]
    assert wanted.specifier.contains(Version(versions["tpu"]))


@pytest.mark.parametrize("name", ["trainer", *(f"trainer-{variant}" for variant in VARIANTS)])
def test_locks_have_hashes_and_no_addresses(name: str) -> None:
    lock = (DOCKER / f"{name}.lock").read_text()

    assert runtime_lock.entries(lock)  # raises where a hash is missing
    assert "://" not in lock
    assert "--index" not in lock
