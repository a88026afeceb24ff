"""Real engines on this machine: a Flink cluster of two task managers, and Prism."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
FLINK = REPOSITORY / "infra" / "flink"
#: Variable that marks every process of one engine, so that only those are ever ended.
MARK = "PLATEWISE_ENGINE"
_JAVA = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
#: What Flink 1.19 needs opened under Java 17 (its own default, env.java.opts.all).
_OPENED = (
    *("lang", "lang.invoke", "lang.reflect", "io", "net", "nio", "text", "time"),
    *("util", "util.concurrent", "util.concurrent.atomic", "util.concurrent.locks"),
)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return int(listener.getsockname()[1])


def wait_until(done: Callable[[], bool], what: str, limit_s: float = 120.0) -> None:
    """Wait for something; an error that names it after the limit."""
    end = time.monotonic() + limit_s
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {limit_s:g} s")
        time.sleep(0.2)


def listening(port: int) -> bool:
    """Whether anyone accepts connections."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("localhost", port)) == 0


@dataclass
class Engine:
    """Processes of one engine, and the workers that they start."""

    #: Folder of :file:`infra/flink/setup.sh`.
    home: Path
    #: Logs, temporary files and the workers' own folders.
    folder: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def spawn(self, name: str, command: list[str]) -> None:
        """Start a process of this engine; its output goes to ``NAME.log``."""
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                ["nice", *command],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=os.environ | {MARK: self.mark},
            )

    def marked(self, word: str) -> list[int]:
        """Processes of this engine, by id, whose command line has a word in it."""
        found = []
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if process.name.isdigit() and word in (process / "cmdline").read_text():
                    variables = (process / "environ").read_bytes().split(b"\0")
                    if f"{MARK}={self.mark}".encode() in variables:
                        found.append(int(process.name))
        return found

    def workers(self) -> list[int]:
        """Python workers that the engine has started."""
        return self.marked("sdk_worker_main")

    def kill_worker(self, pid: int) -> None:
        """SIGKILL a worker and its boot program, which would start it anew: a container lost."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            for victim in (int(fields[1]), pid):
                if victim in self.marked(""):
                    os.kill(victim, signal.SIGKILL)

    def stop(self) -> None:
        """End every process of this engine, workers without a parent included."""
        for name in reversed(self.processes):
            self.processes[name].kill()
        for process in self.processes.values():
            process.wait()
        for pid in self.marked(""):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def environment(self) -> list[str]:
        """Beam arguments that make this engine start Python as its container would."""
        boot = self.folder / "boot.sh"
        python = REPOSITORY / ".venv" / "bin"
        boot.write_text(
            f"""#!/bin/sh
# Beam's own boot program, in the interpreter of these tests and a folder of its own.
folder=$(mktemp -d "{self.folder}/worker-XXXXXX")
cd "$folder"
export PATH="{python}:$PATH" PYTHONPATH="{REPOSITORY}" {MARK}={self.mark}
export RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1 TF_CPP_MIN_LOG_LEVEL=3
# Whatever might be staged by mistake is never installed into that interpreter.
export PIP_TARGET="$folder/installed"
# Prism 2.77 puts quotes around the worker's id, which no shell takes away.
for argument; do
    shift
    set -- "$@" "$(printf %s "$argument" | tr -d "'")"
done
exec "{self.home}/bin/boot" --semi_persist_dir="$folder" "$@"
"""
        )
        boot.chmod(0o755)
        return [
            "--environment_type=PROCESS",
            "--environment_config=" + json.dumps({"command": str(boot)}),
            # Named, or TFX packs itself up and has every worker install it.
            "--sdk_container_image=unused",
        ]


class Prism(Engine):
    """Beam's portable reference runner: one process, workers apart."""

    def start(self) -> None:
        """Start it."""
        self.port = free_port()
        command = [str(self.home / "bin" / "prism"), f"--job_port={self.port}"]
        self.spawn("prism", [*command, "--serve_http=false", "--idle_shutdown_timeout=-1s"])
        wait_until(lambda: listening(self.port), "Prism starts")

    def beam_args(self) -> list[str]:
        """Arguments that run a pipeline on it."""
        return [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{self.port}",
            # The SDK gives up on the job itself, not only on the server, after this.
            "--job_server_timeout=900",
            *self.environment(),
        ]


class Flink(Engine):
    """A job manager, task managers of one slot each, and Beam's job server."""

    def start(self) -> None:
        """Start everything, and wait until both slots are free."""
        self.rpc, self.rest, self.port = free_port(), free_port(), free_port()
        package = "org.apache.flink.runtime"
        main = f"{package}.entrypoint.StandaloneSessionClusterEntrypoint"
        self._java("jobmanager", main, 512, *self._cluster("jobmanager"))
        wait_until(lambda: listening(self.rest), "Flink's job manager starts")
        for number in (1, 2):
            self.start_task_manager(number)
        self._java(
            "jobserver",
            "org.apache.beam.runners.flink.FlinkJobServerDriver",
            512,
            *("--job-host=localhost", f"--job-port={self.port}"),
            *("--artifact-port=0", "--expansion-port=0"),
            f"--flink-master=localhost:{self.rest}",
            f"--flink-conf-dir={FLINK / 'conf'}",
            f"--artifacts-dir={self.folder / 'artifacts'}",
        )
        wait_until(lambda: listening(self.port), "Beam's job server starts")
        self.wait_for_slots()

    def start_task_manager(self, number: int) -> None:
        """Start a task manager, in the place of one that was killed if need be."""
        name = f"taskmanager-{number}"
        main = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        self._java(name, main, 420, *self._cluster(name))

    def wait_for_slots(self) -> None:
        """Wait until both task managers are there and idle."""
        wait_until(lambda: self.overview()["slots-available"] == 2, "two free slots")

    def overview(self) -> dict[str, int]:
        """Flink's own counts of task managers, slots and jobs by state."""
        found: dict[str, int] = self._ask("overview")
        return found

    def steps_finished(self) -> int:
        """Steps that the running job has behind it, sources apart; 0 where none runs."""
        for job in self._ask("jobs/overview")["jobs"]:
            if job["state"] == "RUNNING":
                steps = self._ask(f"jobs/{job['jid']}")["vertices"]
                done = [step for step in steps if step["status"] == "FINISHED"]
                return sum(not step["name"].startswith("DataSource") for step in done)
        return 0

    def failures(self) -> list[str]:
        """Failures from which the newest job recovered, as Flink names them."""
        jobs = self._ask("jobs/overview")["jobs"]
        newest = max(jobs, key=lambda job: job["start-time"])
        history = self._ask(f"jobs/{newest['jid']}/exceptions")["exceptionHistory"]
        return [entry["exceptionName"] for entry in history["entries"]]

    def _ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://localhost:{self.rest}/{path}") as answer:
            return json.load(answer)

    def beam_args(self) -> list[str]:
        """Arguments that run a pipeline on both slots."""
        return [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{self.port}",
            "--parallelism=2",
            # No environment cache: a retry would be handed the worker that died.
            "--environment_cache_millis=0",
            *self.environment(),
        ]

    def _cluster(self, name: str) -> list[str]:
        scratch = self.folder / name
        scratch.mkdir(exist_ok=True)
        values = {
            "jobmanager.rpc.port": self.rpc,
            "rest.port": self.rest,
            "io.tmp.dirs": scratch,
            "blob.storage.directory": scratch,
        }
        options = [f"-D{key}={value}" for key, value in values.items()]
        return ["--configDir", str(FLINK / "conf"), *options]

    def _java(self, name: str, main: str, heap_mb: int, *arguments: str) -> None:
        command = ["java", *_JAVA, f"-Xmx{heap_mb}m"]
        command += [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in _OPENED]
        command += [f"-Djava.util.logging.config.file={FLINK / 'conf' / 'logging.properties'}"]
        command += ["-cp", f"{self.home / 'lib'}/*", main]
        self.spawn(name, [*command, *arguments])


@contextlib.contextmanager
def started(engine: Flink | Prism) -> Iterator[Flink | Prism]:
    """An engine that runs inside the block."""
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()
