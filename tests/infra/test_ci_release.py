"""What a release does: templates through kfp's real client, the gate, compiling by digest."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from servers.threaded import QuietServer

REPOSITORY = Path(__file__).resolve().parents[2]
DIGEST = "sha256:" + "ab" * 32
IMAGES = "us-central1-docker.pkg.dev/p/platewise-dev"


def module(name: str) -> ModuleType:
    path = REPOSITORY / f"infra/cloudbuild/{name}.py"
    spec = importlib.util.spec_from_file_location(f"release_{name}", path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # dataclasses look their module up
    spec.loader.exec_module(loaded)
    return loaded


template, gate = module("template"), module("gate")


class Registry(QuietServer):
    """The part of a KFP registry that is used: upload, download by tag, tags."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.versions: dict[str, bytes] = {}
        self.tags: dict[tuple[str, str], str] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Registry

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/upload":
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            parts = {}
            for part in message_from_bytes(head + body).get_payload():
                name = re.search(r'name="(\w+)"', part["Content-Disposition"])
                assert name is not None
                parts[name[1]] = part.get_payload(decode=True)
            package = yaml.safe_load(parts["content"])["pipelineInfo"]["name"]
            version = "sha256:" + hashlib.sha256(parts["content"]).hexdigest()
            self.server.versions[version] = parts["content"]
            for tag in parts.get("tags", b"").decode().split(","):
                self.server.tags[package, tag] = version
            return self._send(200, f"{package}/{version}".encode())
        return self._tag(body)

    def do_PATCH(self) -> None:
        self._tag(self._body())

    def _tag(self, body: bytes) -> None:
        _, _, package, tag = self.path.partition("?")[0].split("/")
        self.server.tags[package, tag] = json.loads(body)["version"].rpartition("/")[2]
        self._send(200, b"{}")

    def do_GET(self) -> None:
        _, kind, package, tag = self.path.split("/")
        version = self.server.tags.get((package, tag))
        if version is None:
            return self._send(404, b"no such tag")
        if kind == "download":
            return self._send(200, self.server.versions[version])
        return self._send(200, json.dumps({"name": tag, "version": f"p/{version}"}).encode())

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def command(registry: Registry, tmp_path: Path) -> Any:
    context = tmp_path / "context.json"
    paths = {
        "upload_url": "{host}/upload",
        "download_tag_url": "{host}/download/{package_name}/{tag}",
        "get_tag_url": "{host}/tags/{package_name}/{tag}",
        "create_tag_url": "{host}/tags/{package_name}/{tag}",
        "update_tag_url": "{host}/tags/{package_name}/{tag}",
        "package_format": "{package_name}",
        "tag_format": "{package_name}/{tag}",
        "version_format": "{package_name}/{version}",
    }
    context.write_text(json.dumps(paths))

    def run(*words: str) -> int:
        return int(template.main(["--context", str(context), *words]))

    return run


def specification(tmp_path: Path, image: str = f"{IMAGES}/components@{DIGEST}") -> Path:
    path = tmp_path / "training.yaml"
    nested = json.dumps(
        {"job": json.dumps({"image": f"{IMAGES}/trainer@{DIGEST}", "pad": "x " * 60})}
    )
    spec = {
        "pipelineInfo": {"name": "platewise-training"},
        "steps": [{"image": image}] * 2,
        "c": nested,
    }
    path.write_text(yaml.safe_dump(spec))
    return path


def test_a_template_is_pushed_gated_and_pulled(
    command: Any, registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = specification(tmp_path)
    host, name = registry.address, "platewise-training"
    pulled = tmp_path / "pulled.yaml"
    assert command("pull", host, name, "gated-abc", str(pulled)) == 1
    assert "404" in capsys.readouterr().err
    assert command("push", host, str(path), "--tag", "sha-abc", "--tag", "latest") == 0
    assert capsys.readouterr().out.startswith("platewise-training/sha256:")
    assert command("tag", host, name, "sha-abc", "gated-abc") == 0
    assert command("tag", host, name, "sha-abc", "gated-abc") == 0  # a release that is run again
    assert {tag for _, tag in registry.tags} == {"sha-abc", "latest", "gated-abc"}
    assert len(set(registry.tags.values())) == len(registry.versions) == 1
    assert command("pull", host, name, "gated-abc", str(pulled)) == 0
    assert pulled.read_bytes() == path.read_bytes()


def test_a_job_is_no_template(
    command: Any, registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "training.json"
    path.write_text(json.dumps({"pipelineSpec": {"pipelineInfo": {"name": "x"}}}))
    assert command("push", registry.address, str(path)) == 1
    assert "is no pipeline specification" in capsys.readouterr().err
    assert registry.versions == {}


def test_a_tag_that_the_registry_would_refuse(
    command: Any, registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("push", registry.address, str(specification(tmp_path)), "--tag", "A B") == 1
    assert "not tags: A B" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["components", "trainer"])
def test_the_images_of_a_template_are_found(tmp_path: Path, name: str) -> None:
    """Also where YAML folds the text, and in JSON within JSON."""
    assert template.image_in(specification(tmp_path), f"{IMAGES}/{name}") == (
        f"{IMAGES}/{name}@{DIGEST}"
    )


def test_an_image_by_tag_is_not_promoted(tmp_path: Path) -> None:
    path = specification(tmp_path, f"{IMAGES}/components:latest")
    with pytest.raises(template.TemplateError, match="0 addresses"):
        template.image_in(path, f"{IMAGES}/components")


METRICS: dict[str, Any] = {
    "format": 1,
    "blessing": {"blessed": True},
    "headline": {"accuracy_per_well": 0.8, "times_chance": 19.2, "n_wells": 96},
    "worst_experiment": {"accuracy_per_well": 0.6},
    "quality": {"sites_expected": 400, "sites_used": 398},
}


def passed(metrics: dict[str, Any], **wanted: Any) -> list[bool]:
    return [check.passed for check in gate.checks(metrics, wanted)]


def test_the_gate_holds_each_figure_to_its_threshold() -> None:
    assert (
        passed(METRICS, blessed=True, min_times_chance=19.2, max_missing_share=0.005) == [True] * 3
    )
    assert (
        passed(METRICS, min_times_chance=19.3, min_wells=97, max_missing_share=0.004) == [False] * 3
    )
    assert passed(METRICS, min_worst_experiment=0.6, min_accuracy_per_well=0.81) == [True, False]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"blessing": {"blessed": None}}, {"blessed": True}),
        ({"blessing": {"blessed": False}}, {"blessed": True}),
        ({"headline": None}, {"min_times_chance": 0.0}),
        ({"worst_experiment": None}, {"min_worst_experiment": 0.0}),
        ({"quality": {"sites_expected": 0, "sites_used": 0}}, {"max_missing_share": 1.0}),
    ],
)
def test_what_is_not_known_does_not_pass(change: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert passed(METRICS | change, **wanted) == [False]


@pytest.mark.parametrize(
    ("metrics", "wanted", "says"),
    [
        (METRICS, {"min_acuracy": 1}, "unknown min_acuracy"),
        (METRICS, {}, "no threshold"),
        (METRICS, {"blessed": False}, "only be true"),
        (METRICS, {"min_wells": "9"}, "must be a number"),
        (METRICS | {"format": 2}, {"blessed": True}, "format 2"),
    ],
)
def test_a_gate_that_is_wrong_is_refused(metrics: Any, wanted: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        gate.checks(metrics, wanted)


def test_the_gate_s_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps(METRICS))
    assert gate.main([str(metrics)]) == 0
    assert "pass  min_times_chance 19.2, wanted >= 3.0" in capsys.readouterr().out
    metrics.write_text(json.dumps(METRICS | {"blessing": {"blessed": False}}))
    assert gate.main([str(metrics)]) == 1
    assert "FAIL  blessed false, wanted true" in capsys.readouterr().out
    assert gate.main([str(tmp_path / "none.json")]) == 2


def test_the_gate_reads_a_report_s_own_metrics() -> None:
    """Every path that the gate follows is one that the report documents."""
    from components.report import machine

    assert gate.FORMAT == machine.FORMAT
    for key in ("blessed", "times_chance", "accuracy_per_well", "n_wells", "sites_used"):
        assert f"``{key}``" in (machine.__doc__ or "")


@pytest.mark.thorough
@pytest.mark.slow
def test_pipelines_are_compiled_for_images_by_digest(tmp_path: Path) -> None:
    images = tmp_path / "images.env"
    images.write_text(
        f"COMPONENTS_IMAGE={IMAGES}/components@{DIGEST}\nTRAINER_IMAGE={IMAGES}/trainer@{DIGEST}\n"
    )
    script = REPOSITORY / "infra/cloudbuild/compile.sh"
    config = REPOSITORY / "tests/golden/vertex.toml"
    done = subprocess.run(
        ["sh", script, config, images], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    compiled = REPOSITORY / "build/pipelines"
    for name in ("components", "trainer"):
        found = template.image_in(compiled / "training.yaml", f"{IMAGES}/{name}")
        assert found.endswith(DIGEST)
    assert template.check(compiled / "scoring.yaml") == "platewise-scoring"
    job = json.loads((compiled / "training.json").read_text())
    assert yaml.safe_load((compiled / "training.yaml").read_text()) == job["pipelineSpec"]


def test_images_by_tag_are_not_compiled(tmp_path: Path) -> None:
    images = tmp_path / "images.env"
    images.write_text("COMPONENTS_IMAGE=a:latest\nTRAINER_IMAGE=b:latest\n")
    script = REPOSITORY / "infra/cloudbuild/compile.sh"
    done = subprocess.run(
        ["sh", script, "x.toml", images], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "by digest" in done.stderr
