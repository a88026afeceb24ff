"""The workflows of CI, on GitHub and on Cloud Build: pinned, narrow, and made of what exists."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((REPOSITORY / ".github/workflows").glob("*.yml"))
BUILDS = sorted((REPOSITORY / "infra/cloudbuild").glob("*.yaml"))
SCRIPTS = sorted(
    path
    for folder in ("cloudbuild", "audit", "terraform")
    for path in (REPOSITORY / "infra" / folder).glob("*.sh")
)
#: Each action's release and the commit it was published at. A new one is looked up, then added.
ACTIONS = {
    "actions/checkout": ("08c6903cd8c0fde910a37f88322edcfb5dd907a8", "v5.0.0"),
    "actions/setup-python": ("a26af69be951a213d495a4c3e4e4022e16d87065", "v5.6.0"),
    "actions/upload-artifact": ("ea165f8d65b6e75b540449e92b4886f43607fa02", "v4.6.2"),
    "google-github-actions/auth": ("7c6bc770dae815cd3e89ee6cdf493a5fab2cc093", "v3.0.0"),
    "opentofu/setup-opentofu": ("592200bd4b9bbf4772ace78f887668b1aee8f716", "v1.0.5"),
}
named = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in load(path)["jobs"].values():
        yield from job["steps"]


def test_there_are_some() -> None:
    assert [path.name for path in WORKFLOWS] == ["check.yml", "release.yml"]
    assert [path.name for path in BUILDS] == ["check.yaml", "promote.yaml", "release.yaml"]
    assert len(SCRIPTS) >= 8


@named
def test_actions_are_pinned_by_commit(path: Path) -> None:
    lines = re.findall(r"uses: *(\S+)(?: *# *(\S+))?", path.read_text())
    assert lines
    for reference, version in lines:
        action, _, commit = reference.partition("@")
        assert re.fullmatch(r"[0-9a-f]{40}", commit), reference
        assert ACTIONS[action] == (commit, version), reference
    assert len(lines) == sum("uses" in step for step in steps(path))


@named
def test_jobs_may_do_little_and_end(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    for name, job in workflow["jobs"].items():
        assert 0 < job["timeout-minutes"] < 360, name
        assert job["permissions"].pop("contents") == "read", name
        rest = job["permissions"]
        signs_in = any("google-github-actions/auth" in s.get("uses", "") for s in job["steps"])
        assert rest == ({"id-token": "write"} if signs_in else {}), name
        # What signs in waits for an environment, where people and branches are checked.
        assert ("environment" in job) is signs_in, name
        for step in job["steps"]:
            if "actions/checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False, name


@named
def test_nothing_secret_and_nothing_injected(path: Path) -> None:
    text = path.read_text()
    assert "secrets." not in text
    assert "pull_request_target" not in text and "workflow_run" not in text
    for step in steps(path):
        # An expression in a command is text that a stranger may choose; the environment is not.
        assert "${{" not in step.get("run", ""), step
        assert not re.search(r"\b(set -x|printenv|env$)", step.get("run", "")), step


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text(), re.M))


def check_command(words: list[str]) -> None:
    if words[0] == "make":
        assert set(words[1:]) <= make_targets(), words
    else:
        assert words[0] == "sh", words
        assert (REPOSITORY / words[1]).is_file(), words


@named
def test_commands_exist(path: Path) -> None:
    commands = [step["run"] for step in steps(path) if "run" in step]
    assert commands
    for command in commands:
        if "docker login" in command:
            assert "--password-stdin" in command
            continue
        check_command(shlex.split(command))


@pytest.mark.parametrize("path", BUILDS, ids=lambda path: path.name)
def test_builds_on_cloud_build(path: Path) -> None:
    build = load(path)
    ids = [step["id"] for step in build["steps"]]
    assert len(set(ids)) == len(ids)
    for number, step in enumerate(build["steps"]):
        assert step["name"].startswith("$_"), "builder images are given by digest"
        check_command([step["entrypoint"], *step["args"]])
        assert set(step.get("waitFor", [])) <= {"-", *ids[:number]}
    assert re.fullmatch(r"\d+s", build["timeout"])
    # Logs in a bucket would need an account that may write one.
    assert build["options"]["logging"] == "CLOUD_LOGGING_ONLY"


def test_builds_are_what_the_api_takes() -> None:
    cloudbuild = pytest.importorskip("google.cloud.devtools.cloudbuild_v1")
    from google.protobuf import json_format

    for path in BUILDS:
        json_format.ParseDict(load(path), cloudbuild.Build.pb(cloudbuild.Build()))


def test_both_do_the_same() -> None:
    """A script that one of the two runs, the other runs too."""

    def scripts(paths: list[Path]) -> set[str]:
        text = re.sub(r"(?m)^ *#.*$", "", "\n".join(path.read_text() for path in paths))
        return set(re.findall(r"infra/\w+/\w+\.sh", text))

    github, google = scripts(WORKFLOWS), scripts(BUILDS)
    assert github == google
    assert {f"infra/cloudbuild/{name}.sh" for name in ("build_images", "compile", "try")} <= github


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_shell(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("#!/bin/sh\n") and "\nset -eu\n" in text
    assert path.stat().st_mode & 0o111, "not executable"
    subprocess.run(["sh", "-n", str(path)], check=True)
    for called in re.findall(r"(?:sh|python) (infra/\S+\.(?:sh|py))", text):
        assert (REPOSITORY / called).is_file(), called
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(path)], check=True)


def test_images_get_every_argument_that_they_need() -> None:
    """A base is pinned by an argument without a default: a build without it is refused."""
    script = (REPOSITORY / "infra/cloudbuild/build_images.sh").read_text()
    digests = (REPOSITORY / "infra/cloudbuild/digests.sh").read_text()
    for dockerfile in (*(REPOSITORY / "infra/docker").glob("*.Dockerfile"), "infra/trigger"):
        path = REPOSITORY / dockerfile
        text = (path / "Dockerfile" if path.is_dir() else path).read_text()
        relative = str(path.relative_to(REPOSITORY))
        assert relative in script, f"{relative} is not built"
        for name in set(re.findall(r"^ARG (\w+)$", text, re.M)) - {"VARIANT"}:
            assert f'--build-arg "{name}=' in script, (relative, name)
        for image, digest in re.findall(r"^FROM (\S+)@\$\{(\w+)\}", text, re.M):
            assert f"resolve {digest} {image}\n" in digests, (image, digest)
