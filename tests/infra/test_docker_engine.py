"""What stands in for a container engine: its reading of Dockerfiles and contexts; its steps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from docker.utils.build import PatternMatcher
from hypothesis import given
from hypothesis import strategies as st

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKER = REPOSITORY / "infra/docker"
sys.path.insert(0, str(DOCKER))

from engine import dockerfile as language  # noqa: E402  (its folder is put on the path above)
from engine.chroot import inside  # noqa: E402
from engine.compare import differences  # noqa: E402
from engine.copying import copy  # noqa: E402
from engine.ignore import Ignore, files  # noqa: E402

TEXT = """\
# a comment
ARG TAG
ARG KIND=small
FROM debian:${TAG} AS first
ENV A=1 B="two words" \\
    # a comment inside
    C=$A

RUN --mount=type=cache,target=/cache \\
    echo "$A" && \\
    echo done
FROM first
COPY --from=first --chown=1:2 ["/a b", "/c/"]
HEALTHCHECK --interval=1h CMD ["true"]
"""


def test_reads_stages_flags_and_continued_lines() -> None:
    parsed = language.parse(TEXT)

    assert parsed.arguments == {"TAG": None, "KIND": "small"}
    first, last = parsed.stages
    assert (first.name, first.base, last.name, last.base) == (
        "first",
        "debian:${TAG}",
        "1",
        "first",
    )
    env, command = first.instructions
    assert language.pairs(env) == {"A": "1", "B": "two words", "C": "$A"}
    assert command.flags == (("mount", "type=cache,target=/cache"),)
    assert command.value.split() == ["echo", '"$A"', "&&", "echo", "done"]
    assert command.line == 9
    copied, health = last.instructions
    assert (copied.flag("from"), copied.flag("chown")) == ("first", "1:2")
    assert copied.words() == ["/a b", "/c/"]
    assert health.value == 'CMD ["true"]'
    assert [stage.name for stage in language.bases(parsed)] == ["first"]
    assert parsed.stage("") is last
    with pytest.raises(language.DockerfileError, match="no stage 'x'; there are first, 1"):
        parsed.stage("x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM a:1\nADD x /x\n", "line 2: ADD is not understood"),
        ("RUN x\nFROM a:1\n", "line 1: RUN before FROM"),
        ("FROM a:1 b\n", "line 1: FROM wants"),
        ("FROM a:1\nRUN <<END\nls\nEND\n", "line 2: here-documents"),
        ("FROM a:1\nENV A 1\n", "line 2: ENV wants KEY=VALUE"),
        ("FROM a:1\nRUN a \\\n", "line 2: the file ends"),
        ("ARG A\n", "no FROM"),
    ],
)
def test_what_it_does_not_understand_it_names(text: str, message: str) -> None:
    with pytest.raises(language.DockerfileError, match=message):
        for stage in language.parse(text).stages:
            for step in stage.instructions:
                language.pairs(step)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("$A", "1"), ("${A}b", "1b"), ("$AB", ""), ("${N:-x}", "x"), ("${A:-x}", "1"),
        ("${A:+y}", "y"), ("${N:+y}", ""), (r"\$A", "$A"), ("a$", "a$"),
    ],
)  # fmt: skip
def test_variables_expand_as_a_shell_would(text: str, wanted: str) -> None:
    assert language.expand(text, {"A": "1"}) == wanted
    if text != "a$":
        shell = subprocess.run(
            ["sh", "-c", f'printf %s "{text}"'], env={"A": "1"}, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        assert shell.stdout == wanted


_NAME = st.sampled_from(["a", "b", "ab", "a.so", "*.so"])
_PATTERN = st.lists(_NAME | st.sampled_from(["*", "a*"]), min_size=1, max_size=3)


@given(
    st.lists(st.tuples(st.booleans(), _PATTERN), max_size=4),
    st.lists(st.sampled_from(["a", "b", "ab", "a.so"]), min_size=1, max_size=3),
)
def test_ignores_what_dockers_own_client_ignores(
    patterns: list[tuple[bool, list[str]]], parts: list[str]
) -> None:
    lines = [("!" if kept else "") + "/".join(pattern) for kept, pattern in patterns]
    path = "/".join(parts)

    assert Ignore("\n".join(lines)).ignores(path) == bool(PatternMatcher(lines).matches(path))


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [
        ("**/b", "b", True),
        ("**/b", "a/b/c", True),
        ("**/*.pyc", "a/b/c.pyc", True),
        ("a/**/c", "a/c", True),
        ("a/**", "a/b/c", True),
        ("a/**", "b/a/c", False),
        ("**/b", "ab", False),
    ],
)
def test_two_stars_stand_for_any_folders(pattern: str, path: str, ignored: bool) -> None:
    assert Ignore(pattern).ignores(path) is ignored


def test_the_last_pattern_decides(tmp_path: Path) -> None:
    for name in ("a/keep.py", "a/x.pyc", "b/c.py", "top"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".dockerignore").write_text("# all\n*\n!a\n**/*.pyc\n")

    assert list(files(tmp_path)) == ["a/keep.py"]


def test_links_never_lead_out_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/absolute").symlink_to("/run/there")
    (tmp_path / "etc/upwards").symlink_to("../../../../run/there")
    (tmp_path / "etc/loop").symlink_to("loop")

    assert inside(tmp_path, "/etc/absolute") == tmp_path / "run/there"
    assert inside(tmp_path, "/etc/upwards/x") == tmp_path / "run/there/x"
    assert inside(tmp_path, "/../../x") == tmp_path / "x"
    with pytest.raises(OSError, match="too many links"):
        inside(tmp_path, "/etc/loop")


def test_copies_as_copy_does(tmp_path: Path) -> None:
    origin, root, me = tmp_path / "o", tmp_path / "r", (os.getuid(), os.getgid())
    (origin / "folder/deep").mkdir(parents=True)
    (origin / "folder/deep/file").write_text("deep")
    (origin / "folder/link").symlink_to("deep/file")
    (origin / "one.txt").write_text("1")
    (origin / "two.txt").write_text("2")

    copy(origin, ["folder"], root, "/a", me)  # a folder's content
    copy(origin, ["one.txt"], root, "/b", me)  # a file under a new name
    copy(origin, ["one.txt"], root, "/c/", me)  # a file into a folder
    copy(origin, ["*.txt"], root, "/d", me, "600")

    assert (root / "a/deep/file").read_text() == "deep"
    assert (root / "a/link").readlink() == Path("deep/file")
    assert (root / "b").read_text() == (root / "c/one.txt").read_text() == "1"
    assert sorted(path.name for path in (root / "d").iterdir()) == ["one.txt", "two.txt"]
    assert (root / "d/one.txt").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileNotFoundError, match=r"missing.*dockerignore"):
        copy(origin, ["missing"], root, "/e", me)


def test_differences_are_found(tmp_path: Path) -> None:
    one, other = tmp_path / "1", tmp_path / "2"
    for root in (one, other):
        root.mkdir()
        for name in ("same", "bytes", "mode", "time"):
            (root / name).write_text(name)
            os.utime(root / name, (1, 1))
        (root / "link").symlink_to("same")
    assert differences(one, other) == []

    (other / "bytes").write_text("etyb_")
    (other / "mode").chmod(0o600)
    os.utime(other / "time", (2, 2))
    (other / "link").unlink()
    (other / "link").symlink_to("mode")
    (other / "new").write_text("")
    assert [line.partition(":")[0] for line in differences(one, other)] == [
        "bytes", "link", "mode", "new", "time",
    ]  # fmt: skip
    assert differences(one, other)[3] == "new: in the second alone"
