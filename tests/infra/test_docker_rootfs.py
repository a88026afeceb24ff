"""The images' root file systems, where they are built: what runs in them, and as whom.

``PLATEWISE_ROOTFS`` names the folder that ``make rootfs`` fills; without it these tests skip.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ROOTFS = REPOSITORY / "infra/docker/rootfs.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("PLATEWISE_ROOTFS"),
        reason="PLATEWISE_ROOTFS is not set: needs the folder that `make rootfs` fills",
    ),
]


def _root(name: str) -> Path:
    root = Path(os.environ["PLATEWISE_ROOTFS"]) / name
    if not root.is_dir():
        pytest.skip(f"{root} is not built")
    return root


def _rootfs(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOTFS), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _output(*arguments: str | Path) -> str:
    ran = _rootfs(*arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(params=["components", "trainer-tpu", "trainer-cpu"])
def root(request: pytest.FixtureRequest) -> Path:
    return _root(request.param)


def test_healthy_with_the_network_cut(root: Path) -> None:
    assert _output("health", root, "--no-network").startswith("healthy: ")


def test_a_missing_module_is_unhealthy(root: Path) -> None:
    broken = _rootfs(
        "run", root, "--no-network", "--entrypoint", "env",
        "--", "TPU_SKIP_MDS_QUERY=1", "python", "/opt/platewise/health.py", "no_such_package",
    )  # fmt: skip

    assert broken.returncode == 1
    assert "unhealthy: no_such_package: ModuleNotFoundError" in broken.stderr


def test_not_root_and_no_compiler(root: Path) -> None:
    script = "id -u; for name in gcc cc g++ c++ clang tcc go rustc ld as; do command -v $name; done"

    seen = _output("run", root, "--entrypoint", "sh", "--", "-c", f"{script}; true")

    assert seen == "10001\n"
    compilers = [path for path in root.rglob("cc1*") if path.is_file()]
    assert compilers == []


def test_nothing_in_the_image_can_be_changed_by_its_user(root: Path) -> None:
    uid = 10001
    owned = [
        str(path.relative_to(root))
        for path in root.rglob("*")
        if not path.is_symlink() and (path.lstat().st_uid == uid or path.lstat().st_mode & 0o002)
    ]
    allowed = ("home/platewise", "tmp", "var/tmp", "run/lock", "dev")
    assert [path for path in owned if not path.startswith(allowed)] == []


def test_no_setting_of_this_machine_stays_in_the_image(root: Path) -> None:
    config = json.loads(root.with_name(f"{root.name}.json").read_text())

    assert not [name for name in config["Env"] if name.startswith(("PIP_", "GO", "SSL_"))]
    assert not (root / "etc/pip.conf").exists()
    assert not list((root / "root").glob(".cache"))


def test_the_trainer_has_no_tfx() -> None:
    for name in ("trainer-tpu", "trainer-cpu"):
        if (Path(os.environ["PLATEWISE_ROOTFS"]) / name).is_dir():
            packages = _root(name) / "opt/platewise/lib/python3.11/site-packages"
            found = {path.name for path in packages.iterdir()}
            assert {"trainer", "tensorflow", "keras"} <= found
            assert not found & {"tfx", "kfp", "apache_beam", "components", "pipelines"}


def test_commands_answer() -> None:
    components = _root("components")

    step = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"
    answer = _output("run", components, "--", "python", "-m", step, "--help")
    assert "--executor_class_path" in answer
    assert "usage: platewise" in _output("run", components)
    worker = _rootfs("run", components, "--", "--id=1")
    assert worker.returncode == 1
    assert "No provision endpoint provided" in worker.stderr


INGEST = """
import json, sys
from components.beam_options import IN_PROCESS
from components.plate_example_gen import kernels
from components.plate_example_gen.component import PlateExampleGen
from components.plate_example_gen.config import QualityConfig, ScreenConfig, SplitConfig
from components.plate_example_gen.executor import Executor
from trainer.strict import to_mapping

configs = {"screen": ScreenConfig(sys.argv[1]), "splits": SplitConfig()}
configs["quality_config"] = QualityConfig()
properties = {name: json.dumps(to_mapping(config)) for name, config in configs.items()}
artifacts = {}
for name, channel in PlateExampleGen.SPEC_CLASS.OUTPUTS.items():
    artifacts[name] = [channel.type()]
    artifacts[name][0].uri = f"{sys.argv[2]}/{name}"
context = Executor.Context(beam_pipeline_args=list(IN_PROCESS), unique_id="1")
Executor(context).Do({}, artifacts, properties)
print("compiled" if kernels.compiled() else "not compiled")
"""


def _files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_ingests_the_same_bytes_as_here(tmp_path: Path) -> None:
    components = _root("components")
    screen, here, there = tmp_path / "screen", tmp_path / "here", tmp_path / "there"
    command = [sys.executable, "-m", "pipelines.cli", "simulate", "--preset", "tiny", str(screen)]
    subprocess.run(command, check=True, cwd=REPOSITORY, capture_output=True)
    there.mkdir()
    there.chmod(0o777)

    subprocess.run(
        [sys.executable, "-c", INGEST, str(screen), str(here)],
        cwd=REPOSITORY, check=True, capture_output=True,
    )  # fmt: skip
    seen = _output(
        "run", components, "--no-network", "--bind", f"{screen}:/screen:ro", "--bind",
        f"{there}:/there", "--", "python", "-c", INGEST, "/screen", "/there",
    )  # fmt: skip

    assert seen.splitlines()[-1] == "compiled"
    assert _files(there / "examples") == _files(here / "examples")
    assert len(_files(there / "examples")) > 2


#: A pipeline whose bundles Beam's portable runner sends to workers that the image's boot starts.
WORKER = """
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

def seen(number):
    import os, components
    return f"{number * number} {os.getuid()} {components.__file__}"

options = PipelineOptions([
    "--runner=PortableRunner", "--job_endpoint=embed",
    "--environment_type=EXTERNAL", "--environment_config=localhost:50000",
])
with beam.Pipeline(options=options) as pipeline:
    pipeline | beam.Create([2, 3]) | beam.Map(seen) | beam.io.WriteToText("/tmp/seen")
"""


def test_is_a_container_for_beams_workers() -> None:
    components = _root("components")
    # The pool that Beam gives its external workers; the network is cut, so the port is our own.
    script = '/opt/platewise/entrypoint.sh --worker_pool & sleep 10; python -c "$0"; cat /tmp/seen*'

    seen = _output("run", components, "--no-network", "--", "sh", "-c", script, WORKER)

    found = [line for line in seen.splitlines() if line.endswith("components/__init__.py")]
    module = "/opt/platewise/lib/python3.11/site-packages/components/__init__.py"
    assert sorted(found) == [f"4 10001 {module}", f"9 10001 {module}"]
