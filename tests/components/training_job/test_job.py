"""The custom job, from request to end, against the local Vertex AI."""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import Any

import pytest

from components.training_job.config import TrainingJobConfig
from components.training_job.errors import TrainingJobFailed
from components.training_job.executor import trainer_arguments
from components.training_job.job import run_job
from components.training_job.spec import JobRequest, table
from components.vertex_api import VertexError
from trainer.strict import build

IMAGE = "us-central1-docker.pkg.dev/my-project/platewise/trainer@sha256:" + "0" * 64
OUT = "gs://my-bucket/platewise/PlateTrainingJob/model_run/7"


def request(
    labels: dict | None = None, run_key: str = "0123456789abcdef", **job: Any
) -> JobRequest:
    settings = {"image": IMAGE, "poll_s": 0.02} | job
    return JobRequest(
        job=build(TrainingJobConfig, settings),
        arguments=trainer_arguments(
            "gs://my-bucket/platewise/PlateExampleGen/examples/3",
            "gs://my-bucket/platewise/PlateTransform/transform_graph/5",
            OUT,
            f"gs://my-bucket/platewise/checkpoints/{run_key}",
        ),
        run_key=run_key,
        project="my-project",
        region="us-central1",
        service_account="trainer@my-project.iam.gserviceaccount.com",
        network="projects/123/global/networks/private",
        encryption_key="projects/my-project/locations/us-central1/keyRings/r/cryptoKeys/k",
        labels=labels or {"team": "imaging"},
    )


def started(server: Any) -> Any:
    (sent,) = server.sent("CreateCustomJob")
    return sent.custom_job


def test_a_v5e_8_job_says_all_that_it_should(vertex_server) -> None:
    tensorboard = "projects/my-project/locations/us-central1/tensorboards/5"
    name = run_job(request(tensorboard=tensorboard, boot_disk_gb=200), OUT)
    job = started(vertex_server)
    print(table(job))
    (pool,) = job.job_spec.worker_pool_specs
    assert pool.machine_spec.machine_type == "ct5lp-hightpu-8t"
    assert pool.machine_spec.tpu_topology == "2x4"
    assert pool.machine_spec.accelerator_count == 0
    assert pool.replica_count == 1 and pool.disk_spec.boot_disk_size_gb == 200
    assert pool.container_spec.image_uri == IMAGE
    assert pool.container_spec.command == ["python", "-m", "trainer"]
    arguments = dict(arg.removeprefix("--").split("=") for arg in pool.container_spec.args)
    assert arguments["out"] == OUT and arguments["logs"] == f"{OUT}/logs"
    assert arguments["examples"] == "gs://my-bucket/platewise/PlateExampleGen/examples/3"
    assert arguments["transform"] == "gs://my-bucket/platewise/PlateTransform/transform_graph/5"
    assert arguments["checkpoints"] == "gs://my-bucket/platewise/checkpoints/0123456789abcdef"
    assert set(arguments) - {"out", "logs", "examples", "transform", "checkpoints"} == {
        "config",
        "progress",
    }
    assert {e.name for e in pool.container_spec.env} == {
        "NEXT_PLUGGABLE_DEVICE_USE_C_API",
        "TF_PLUGGABLE_DEVICE_LIBRARY_PATH",
    }
    spec = job.job_spec
    assert spec.service_account == "trainer@my-project.iam.gserviceaccount.com"
    assert spec.network == "projects/123/global/networks/private"
    assert spec.base_output_directory.output_uri_prefix == OUT
    assert spec.tensorboard == tensorboard
    assert spec.scheduling.strategy.name == "STANDARD"
    assert spec.scheduling.timeout.total_seconds() == 48 * 3600
    assert spec.scheduling.restart_job_on_worker_restart
    assert not spec.scheduling.max_wait_duration
    assert job.encryption_spec.kms_key_name.endswith("cryptoKeys/k")
    assert dict(job.labels) == {"team": "imaging", "platewise_run": "0123456789abcdef"}
    assert name.startswith("projects/123456789012/locations/us-central1/customJobs/")


def test_the_table_shows_what_was_sent(vertex_server) -> None:
    run_job(request(), OUT)
    shown = table(started(vertex_server))
    for text in ("ct5lp-hightpu-8t", "2x4", IMAGE, "python -m trainer", f"--out={OUT}", "48 h"):
        assert f"`{text}` |" in shown
    assert "TensorBoard" not in shown  # none was asked for


def test_a_slice_keeps_the_entry_point_of_its_image(vertex_server) -> None:
    run_job(request(accelerator="v5e-16"), OUT)
    (pool,) = started(vertex_server).job_spec.worker_pool_specs
    assert (pool.machine_spec.machine_type, pool.machine_spec.tpu_topology) == (
        "ct5lp-hightpu-4t",
        "4x4",
    )
    assert pool.replica_count == 1  # one replica, however many hosts
    assert not pool.container_spec.command
    assert pool.container_spec.args[:3] == ["python", "-m", "trainer"]


def test_two_gpu_machines_are_a_chief_and_a_worker(vertex_server) -> None:
    run_job(request(accelerator="a100-8x3", scheduling="spot"), OUT)
    spec = started(vertex_server).job_spec
    chief, workers = spec.worker_pool_specs
    assert (chief.replica_count, workers.replica_count) == (1, 2)
    assert chief.machine_spec == workers.machine_spec
    assert chief.machine_spec.accelerator_type.name == "NVIDIA_TESLA_A100"
    assert chief.container_spec == workers.container_spec
    assert spec.scheduling.strategy.name == "SPOT"


def test_flex_start_and_reservations(vertex_server) -> None:
    run_job(request(accelerator="h100-8", scheduling="flex_start", max_wait_h=2.0), OUT)
    reservation = "projects/p/zones/us-central1-a/reservations/plates"
    run_job(request(scheduling="reserved", reservation=reservation, run_key="f" * 16), OUT)
    flexible, reserved = (s.custom_job.job_spec for s in vertex_server.sent("CreateCustomJob"))
    assert flexible.scheduling.strategy.name == "FLEX_START"
    assert flexible.scheduling.max_wait_duration.total_seconds() == 7200
    affinity = reserved.worker_pool_specs[0].machine_spec.reservation_affinity
    assert affinity.reservation_affinity_type.name == "SPECIFIC_RESERVATION"
    assert list(affinity.values) == [reservation]
    assert reserved.scheduling.strategy.name == "STANDARD"


def test_states_are_told_once_each(vertex_server, caplog) -> None:
    states = ["QUEUED", "PENDING", "PENDING", "RUNNING", "RUNNING", "SUCCEEDED"]
    vertex_server.script("customJobs", states)
    with caplog.at_level(logging.INFO, "components.training_job.job"):
        run_job(request(), OUT)
    told = [
        r.getMessage().rpartition(": ")[2] for r in caplog.records if "abcdef: " in r.msg % r.args
    ]
    assert told == ["QUEUED", "PENDING", "RUNNING", "SUCCEEDED"]


@pytest.mark.parametrize(
    ("state", "message", "expected"),
    [
        ("FAILED", "The replica workerpool0-0 ran out of memory", "minibatch_size"),
        ("FAILED", "Resources are insufficient in region: us-central1.", "another\\s+region"),
        ("FAILED", "STOCKOUT: spot VM was reclaimed", "goes on from its last"),
        ("FAILED", "Quota exceeded for custom_model_training_tpu_v5e", "IAM & Admin > Quotas"),
        ("FAILED", "The replica exited with a non-zero status of 1", "in the job's log"),
        ("FAILED", "The replica exited with a non-zero status of 134", "again and again"),
        ("CANCELLED", "", "timeout_h = 48"),
        ("EXPIRED", "", "timeout_h = 48"),
    ],
)
def test_how_a_job_ended_and_what_to_do(vertex_server, state, message, expected) -> None:
    vertex_server.script("customJobs", ["RUNNING", (state, message) if message else state])
    with pytest.raises(TrainingJobFailed, match=expected) as caught:
        run_job(request(), OUT)
    text = str(caught.value)
    assert message in text and state in text
    assert "console.cloud.google.com/vertex-ai/locations/us-central1/training/" in text
    assert "resource.labels.job_id" in text


def test_what_the_trainer_said_comes_first(vertex_server) -> None:
    vertex_server.script("customJobs", ["RUNNING", ("FAILED", "non-zero status of 1")])
    with pytest.raises(TrainingJobFailed, match=r"^training failed: class '10' has no site"):
        run_job(request(), OUT, look=lambda: "class '10' has no site")


def test_stuck_in_the_queue(vertex_server) -> None:
    vertex_server.script("customJobs", ["PENDING"])
    with pytest.raises(TrainingJobFailed, match=r"has waited .* for v5e-8 in us-central1.*Quotas"):
        run_job(request(max_wait_h=0.3 / 3600), OUT)
    assert len(vertex_server.sent("CancelCustomJob")) == 1


def test_refusals_of_the_service_are_readable(vertex_server) -> None:
    quota = "The following quota metrics exceed quota limits: custom_model_training_tpu_v5e"
    vertex_server.fail_next(429, quota, rpc="CreateCustomJob")
    with pytest.raises(VertexError, match=r"cannot start the training job .* on v5e-8.*quota"):
        run_job(request(), OUT)
    vertex_server.fail_next(401, rpc="ListCustomJobs", times=9)
    with pytest.raises(VertexError, match="gcloud auth application-default login"):
        run_job(request(), OUT)
    assert len(vertex_server.sent("CreateCustomJob")) == 1


def test_an_answer_that_was_lost_does_not_start_a_second_job(vertex_server) -> None:
    """The service took the job, and the connection broke before it said so."""
    vertex_server.script("customJobs", ["PENDING", "RUNNING", "SUCCEEDED"])
    real = vertex_server.answer
    cut = []

    def answer(method: str, path: str, *rest: Any) -> Any:
        answered = real(method, path, *rest)
        if method == "POST" and not cut:
            cut.append(path)
            return None
        return answered

    vertex_server.answer = answer
    run_job(request(), OUT)
    assert cut and len(vertex_server.sent("CreateCustomJob")) == 1


def test_a_service_out_of_reach_for_a_while_is_waited_for(vertex_server) -> None:
    vertex_server.script("customJobs", ["RUNNING", "RUNNING", "SUCCEEDED"])
    vertex_server.fail_next(503, rpc="GetCustomJob", times=2)
    vertex_server.fail_next(503, cut=True, rpc="GetCustomJob")
    run_job(request(), OUT)
    assert len(vertex_server.sent("CreateCustomJob")) == 1


def test_a_job_that_runs_is_found_and_not_started_twice(vertex_server) -> None:
    ended, gone_on = threading.Event(), threading.Event()

    def work(job: Any, cancelled: threading.Event) -> int:
        gone_on.set()
        ended.wait(20)
        return 0

    vertex_server.custom_job_runner = work
    vertex_server.fail_next(
        403, "Permission 'aiplatform.customJobs.get' denied", rpc="GetCustomJob"
    )
    with pytest.raises(VertexError, match="read the state of the training job"):
        run_job(request(), OUT)  # the step dies, its job lives
    assert gone_on.wait(5)
    threading.Timer(0.5, ended.set).start()
    run_job(request(), OUT)
    assert len(vertex_server.sent("CreateCustomJob")) == 1
    run_job(request(run_key="f" * 16), OUT)  # another run is another job
    assert len(vertex_server.sent("CreateCustomJob")) == 2


def test_sigterm_cancels_the_job(vertex_server) -> None:
    cancelled_in_time = []

    def work(job: Any, cancelled: threading.Event) -> int:
        os.kill(os.getpid(), signal.SIGTERM)  # the pipeline is cancelled
        cancelled_in_time.append(cancelled.wait(20))
        return 1

    vertex_server.custom_job_runner = work
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        run_job(request(), OUT)
    assert caught.value.code == 143
    vertex_server.wait_for(lambda: cancelled_in_time)
    assert cancelled_in_time == [True]
    assert len(vertex_server.sent("CancelCustomJob")) == 1
    assert signal.getsignal(signal.SIGTERM) == before
