"""Runs a custom job on this machine: the command of every replica of its worker pools, for real.

Give it to the local Vertex AI: ``server.custom_job_runner = WorkerPools()``. Images are not
looked at: the commands run in this environment.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: How long a replica may go on after SIGTERM.
_GRACE_S = 60.0


class WorkerPools:
    """A runner of custom jobs that remembers what each replica said."""

    def __init__(
        self,
        folder: Path | str = ".",
        environment: dict[str, str] | None = None,
        python: Path | str = sys.executable,
        prefix: Sequence[str] = (),
    ) -> None:
        self.folder, self.environment = Path(folder), environment or {}
        #: Put in front of every command, such as ``chroot`` and what it needs.
        self.prefix = list(prefix)
        #: Stands for the image's ``python``.
        self.python = str(python)
        #: Standard error of the first replica, one entry a job.
        self.said: list[str] = []
        #: Processes of the job that runs.
        self.processes: list[subprocess.Popen[str]] = []

    def __call__(self, job: Any, cancelled: threading.Event) -> int:
        """Run to the end of the first replica, as Vertex AI does; returns its exit code."""
        pools = [pool for pool in job.job_spec.worker_pool_specs if pool.replica_count]
        cluster = _cluster([pool.replica_count for pool in pools])
        self.processes = []
        for number, pool in enumerate(pools):
            for index in range(pool.replica_count):
                environment = os.environ | self.environment
                environment |= {item.name: item.value for item in pool.container_spec.env}
                if sum(pool.replica_count for pool in pools) > 1:
                    task = {"type": "worker" if number else "chief", "index": index}
                    environment["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
                words = [*pool.container_spec.command, *pool.container_spec.args]
                if words[0] == "python":
                    words[0] = self.python
                self.processes.append(
                    subprocess.Popen(
                        [*self.prefix, *words],
                        cwd=self.folder,
                        env=environment,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.PIPE,
                        text=True,
                    )
                )
        ended = threading.Event()
        watcher = threading.Thread(target=self._stop_when, args=(cancelled, ended), daemon=True)
        watcher.start()
        readers = [threading.Thread(target=p.communicate, daemon=True) for p in self.processes[1:]]
        for reader in readers:
            reader.start()
        _, error = self.processes[0].communicate()
        self.said.append(error)
        ended.set()
        watcher.join()
        for process in self.processes[1:]:
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
        return self.processes[0].returncode

    def _stop_when(self, cancelled: threading.Event, ended: threading.Event) -> None:
        while not ended.wait(0.1):
            if cancelled.is_set():
                for process in self.processes:
                    process.terminate()
                return


def _cluster(replicas: list[int]) -> dict[str, list[str]]:
    """TF_CONFIG's cluster: the first pool is the chief."""
    ports = _free_ports(sum(replicas))
    addresses = [f"127.0.0.1:{port}" for port in ports]
    cluster = {"chief": addresses[:1]}
    if len(addresses) > 1:
        cluster["worker"] = addresses[1:]
    return cluster


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
