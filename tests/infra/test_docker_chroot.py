"""Steps executed and commands run in a real root file system, by chroot and as its user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKER = REPOSITORY / "infra/docker"
sys.path.insert(0, str(DOCKER))

from engine import dockerfile as language  # noqa: E402  (its folder is put on the path above)
from engine.build import Builder, BuildError, finish, owner_of  # noqa: E402
from engine.chroot import Mount, Process, run  # noqa: E402


def _may_change_root() -> bool:
    command = ["unshare", "--mount", "--pid", "--fork", "true"]
    return os.geteuid() == 0 and not subprocess.run(command, capture_output=True).returncode


needs_root = pytest.mark.skipif(
    not _may_change_root(), reason="changing root wants to be root and may make namespaces"
)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A root file system of a shell and a few programs, with the libraries they need."""
    root = tmp_path / "base"
    for folder in ("etc", "tmp", "proc", "dev", "sys", "root"):
        (root / folder).mkdir(parents=True)
    (root / "etc/passwd").write_text(
        "root:x:0:0::/root:/bin/sh\nme:x:1234:1234::/home/me:/bin/sh\n"
    )
    (root / "etc/group").write_text("root:x:0:\nme:x:1234:\n")
    for name in ("sh", "cat", "id", "mkdir", "touch"):
        program = shutil.which(name)
        assert program
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
        needed = [word for word in listed.stdout.split() if word.startswith("/")]
        for path in (program, *needed):
            place = root / ("bin" if path == program else path.lstrip("/"))
            place = place / name if path == program else place
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(os.path.realpath(path), place)
    return root


SMALL = """\
ARG DIGEST
ARG KIND=plain
FROM tiny:1@${DIGEST} AS made
ARG WORD=default
ENV GREETING="hello ${WORD}"
WORKDIR /work
COPY in.txt ./
RUN --mount=type=cache,target=/cache --mount=type=bind,source=bound.txt,target=/b \\
    cat /b in.txt > out.txt && echo "$GREETING" >> out.txt && touch /cache/used && id -u > uid
FROM tiny:1@${DIGEST} AS final-plain
COPY --from=made --chown=me /work/out.txt /srv/
FROM final-${KIND}
ARG KIND
USER me
WORKDIR /home/me
ENTRYPOINT ["sh", "-c"]
CMD ["id -u; cat /srv/out.txt"]
HEALTHCHECK --interval=1h CMD ["cat", "/srv/out.txt"]
LABEL kind="${KIND}"
"""


def _context(tmp_path: Path) -> Path:
    context = tmp_path / "context"
    context.mkdir()
    (context / "in.txt").write_text("in\n")
    (context / "bound.txt").write_text("bound\n")
    (context / "secret").write_text("secret\n")
    (context / ".dockerignore").write_text("secret\n")
    return context


@needs_root
def test_builds_and_runs_a_small_image(tmp_path: Path, base: Path) -> None:
    asked = []

    def of(image: str) -> tuple[Path, dict[str, str]]:
        asked.append(image)
        return base, {"PATH": "/bin"}

    builder = Builder(
        language.parse(SMALL), _context(tmp_path), tmp_path / "work", tmp_path / "cache",
        {"WORD": "world"}, of, lambda line: None,
    )  # fmt: skip
    image = builder.build()

    out = image.root / "srv/out.txt"
    assert out.read_text() == "bound\nin\nhello world\n"
    assert (out.stat().st_uid, out.stat().st_gid) == (1234, 1234)
    assert (builder.images["made"].root / "work/uid").read_text() == "0\n"
    assert not (builder.images["made"].root / "cache").exists()  # its mount point is taken away
    assert (tmp_path / "cache/cache/used").exists()
    assert set(asked) == {"tiny:1"}
    config = image.config()
    assert config["User"] == "me"
    assert config["Labels"] == {"kind": "plain"}
    assert config["Healthcheck"] == ["cat", "/srv/out.txt"]

    finish(image, tmp_path / "root", epoch_s=86400)
    assert max(path.lstat().st_mtime for path in (tmp_path / "root").rglob("*")) <= 86400
    (tmp_path / "root.json").write_text(json.dumps(config))
    ran = subprocess.run(
        [sys.executable, DOCKER / "rootfs.py", "run", tmp_path / "root"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout == "1234\nbound\nin\nhello world\n"


@needs_root
def test_a_step_that_fails_is_named(tmp_path: Path, base: Path) -> None:
    parsed = language.parse("FROM tiny:1\nRUN touch /x \\\n    && exit 7\n")
    builder = Builder(
        parsed, _context(tmp_path), tmp_path / "w", tmp_path / "c", {},
        lambda image: (base, {"PATH": "/bin"}), lambda line: None,
    )  # fmt: skip

    with pytest.raises(BuildError, match="line 2: exit code 7 from RUN touch /x"):
        builder.build()


@needs_root
def test_what_is_left_out_of_the_context_cannot_be_copied(tmp_path: Path, base: Path) -> None:
    parsed = language.parse("FROM tiny:1\nCOPY secret /\n")
    builder = Builder(
        parsed, _context(tmp_path), tmp_path / "w", tmp_path / "c", {},
        lambda image: (base, {}), lambda line: None,
    )  # fmt: skip

    with pytest.raises(BuildError, match="line 2: COPY secret /: nothing at 'secret'"):
        builder.build()


@needs_root
def test_a_run_has_the_images_rights_and_no_more(tmp_path: Path, base: Path) -> None:
    (base / "etc/guarded").write_text("kept\n")
    (base / "etc/guarded").chmod(0o600)
    (base / "open").mkdir(mode=0o777)
    (base / "open").chmod(0o777)

    def code(command: str, **rights: object) -> int:
        argv = ["sh", "-c", f"exec 2>/dev/null; {command}"]
        return run(Process(str(base), argv, {"PATH": "/bin"}, **rights))  # type: ignore[arg-type]

    assert code("cat /etc/guarded > /dev/null") == 0
    assert code("cat /etc/guarded", uid=1234, gid=1234) == 1
    assert code("touch /open/file", uid=1234, gid=1234) == 0
    assert code("touch /open/other", uid=1234, gid=1234, read_only_root=True) == 1
    assert code("exit 5") == 5
    assert code("cat /proc/net/route > /open/routes", network=False) == 0
    assert len((base / "open/routes").read_text().splitlines()) <= 1  # a heading, no route
    assert run(Process(str(base), ["no-such-program"], {"PATH": "/bin"})) == 127


@needs_root
def test_a_folder_can_be_bound_below_a_mount_of_its_own(tmp_path: Path, base: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    mounts = [Mount("/tmp"), Mount("/tmp/a/b", str(mine), read_only=False), Mount("/c", str(mine))]

    def code(command: str) -> int:
        argv = ["sh", "-c", f"exec 2>/dev/null; {command}"]
        return run(Process(str(base), argv, {"PATH": "/bin"}, mounts=mounts))

    before = {path: path.stat().st_mtime_ns for path in (base, base / "etc", base / "tmp")}
    assert code("touch /tmp/a/b/made /tmp/gone") == 0
    assert (mine / "made").exists()
    assert code("touch /c/made") != 0  # read-only
    assert sorted(path.name for path in (base / "tmp").iterdir()) == []
    assert not (base / "c").exists()
    assert {path: path.stat().st_mtime_ns for path in before} == before


@needs_root
def test_a_second_process_keeps_its_mounts_when_the_first_ends(tmp_path: Path, base: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    mounts = [Mount("/bound", str(mine), read_only=False)]

    def process(command: str) -> Process:
        return Process(str(base), ["sh", "-c", command], {"PATH": "/bin"}, mounts=mounts)

    long = "until cat /bound/go; do touch /bound/started; done 2>/dev/null; touch /bound/ended"
    with ThreadPoolExecutor() as pool:
        # The first makes the mount point, and ends while the second is still at work on it.
        first = pool.submit(run, process("until cat /bound/started; do :; done 2>/dev/null"))
        while not (base / "bound").exists():
            time.sleep(0.01)
        second = pool.submit(run, process(long))
        try:
            assert first.result(timeout=60) == 0
            time.sleep(0.2)
        finally:
            (mine / "started").touch()
            (mine / "go").touch()
        assert second.result(timeout=60) == 0
    assert (mine / "ended").exists()


def test_owners_by_name_and_number(base: Path) -> None:
    assert owner_of("me", base) == (1234, 1234)
    assert owner_of("1234", base) == (1234, 1234)
    assert owner_of("me:root", base) == (1234, 0)
    assert owner_of("7:8", base) == (7, 8)
    with pytest.raises(BuildError, match="no user 'you'"):
        owner_of("you", base)
