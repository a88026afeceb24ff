"""What a dry run shows: complete, priced only where a price is known, and without secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.registry.config import RegistryConfig
from components.training_job.config import TrainingJobConfig
from pipelines.vertex.config import VertexConfig
from pipelines.vertex.plan import make_plan
from pipelines.vertex.plan_text import render
from pipelines.vertex.prices import Cost, load_prices, machine_shape, total
from pipelines.vertex.redact import HIDDEN, redacted
from pipelines.vertex.request import build_request
from pipelines.vertex.steps import read_steps
from trainer.strict import ConfigError, to_mapping

CONFIG = VertexConfig(
    project="example",
    pipeline_root="gs://example/root",
    service_account="pipeline@example.iam.gserviceaccount.com",
    encryption_key="projects/example/locations/us-central1/keyRings/r/cryptoKeys/k",
)


def plan_of(job, config=CONFIG, hours=None, prices=None):
    request = build_request(job, config, {"threshold": 0.5}, job_id="run-1")
    return make_plan(request, prices or load_prices(), hours)


@pytest.mark.parametrize("width", [80, 120])
def test_everything_is_there_and_fits(toy_job, width):
    text = render(plan_of(toy_job), "rxrx1", width)
    for fact in (
        "example",
        "us-central1",
        "run-1",
        "gs://example/root",
        "pipeline@example.iam.gserviceaccount.com",
        "cryptoKeys/k",
        "rxrx1",
        "team=screening",
        "components:1",
        "Dataflow, up to 4 x n2-standard-8",
        "one that fails is tried again, 2 times",
        "16 cores,  64 GB",
        "--max_num_workers=4",
        "epochs       30",
        "threshold    0.5  (given)",
        "Vertex AI's fee, once 0.03",
        "0.56 to 2.26",
        "no cost of a run is given",
    ):
        assert " ".join(fact.split()) in " ".join(text.split()), fact
    assert [line for line in text.splitlines() if len(line) > width] == []


def test_order_is_that_of_the_dependencies(toy_job):
    tasks = toy_job["pipelineSpec"]["root"]["dag"]["tasks"]
    shuffled = {name: tasks[name] for name in sorted(tasks, reverse=True)}
    toy_job["pipelineSpec"]["root"]["dag"]["tasks"] = shuffled
    names = [step.name for step in read_steps(toy_job)]
    assert names == ["PlateExampleGen", "PlatePredictor", "PlateReport"]


def test_steps_of_a_pipeline_with_an_exit_handler():
    golden = Path(__file__).parents[2] / "golden" / "scoring.json"
    steps = {step.name: step for step in read_steps(json.loads(golden.read_text()))}
    assert list(steps)[-1] == "FinalStatus"  # beside the others, which lie one level deeper
    assert steps["FinalStatus"].always
    assert not steps["PlateReport"].always
    assert steps["PlateExampleGen"].beam_argument("runner") == "DataflowRunner"
    assert steps["PlateReport"].beam_arguments == ()
    names = list(steps)
    assert names.index("PlateExampleGen") < names.index("PlateTransform")
    assert names.index("PlatePredictor") < names.index("PlateReport")


def test_costs_an_hour_against_the_pages_figures(toy_job):
    costs = {(line.step, line.most): line.cost.usd for line in plan_of(toy_job).costs}
    assert costs[("PlatePredictor", 1)] == pytest.approx(4 * 0.154126276)
    # 8 cores, 32 GB and a disk of 50 GB
    worker = 8 * 0.056 + 32 * 0.003557 + 50 * 0.000054
    assert costs[("PlateExampleGen", 4)] == pytest.approx(worker)


def test_a_run_is_priced_with_the_users_hours_alone(toy_job):
    assert plan_of(toy_job).run_cost is None
    some = plan_of(toy_job, hours={"PlatePredictor": 2.0}).run_cost
    assert some is not None and some.at_least
    hours = {"PlateExampleGen": 1.0, "PlatePredictor": 2.0, "PlateReport": 0.5}
    whole = plan_of(toy_job, hours=hours).run_cost
    worker = 8 * 0.056 + 32 * 0.003557 + 50 * 0.000054
    steps = 0.154126276 * (1 + 2 * 4 + 0.5 * 2)
    assert whole == Cost(pytest.approx(0.03 + steps + 4 * worker), at_least=False)
    text = render(plan_of(toy_job, hours=hours), width=100)
    assert f"This run: {whole} US dollars" in text


@pytest.fixture
def training_job(toy_job):
    """The toy pipeline with a step that starts a training job, and a pusher."""

    def make(training: TrainingJobConfig, registry: RegistryConfig = RegistryConfig()):  # noqa: B008
        tasks = toy_job["pipelineSpec"]["root"]["dag"]["tasks"]
        constants = {
            "PlatePredictor": {
                "job": json.dumps(to_mapping(training)),
                "service_account": "trainer@example.iam.gserviceaccount.com",
                "checkpoint_root": "gs://example/checkpoints",
            },
            "PlateReport": {
                "registry": json.dumps(to_mapping(registry)),
                "folder": "gs://example/pushed",
            },
        }
        for name, values in constants.items():
            tasks[name]["inputs"] = {
                "parameters": {k: {"runtimeValue": {"constant": v}} for k, v in values.items()}
            }
        return toy_job

    return make


@pytest.mark.parametrize(
    ("accelerator", "words", "usd"),
    [
        ("v5e-8", "8 chips (2x4), 1 host of ct5lp-hightpu-8t", 9.60),
        ("v5e-1", "1 chip (1x1), 1 host of ct5lp-hightpu-1t", 1.20),
        ("v5e-16", "16 chips (4x4), 4 hosts of ct5lp-hightpu-4t", 4 * 4.80),
        ("v3-32", "32 cores, 16 chips of TPU_V3, 4 hosts", None),
        ("t4-2", "1 host of n1-standard-16 with 2 x NVIDIA_TESLA_T4", 0.8739954 + 2 * 0.35),
        ("a100-8x2", "2 hosts of a2-highgpu-8g, each with 8 x NVIDIA_TESLA_A100", 2 * 29.38708),
        ("cpu", "1 host of n2-standard-16, no accelerator", None),
    ],
)
def test_the_machines_that_train(training_job, accelerator, words, usd):
    job = training_job(TrainingJobConfig(image="trainer:1", accelerator=accelerator))
    plan = plan_of(job)
    text = " ".join(render(plan, width=120).split())
    for fact in (f"{accelerator}: {words}", "trainer:1 training job", "runs as trainer@example",
                 "gs://example/checkpoints", "stops after 48 h"):  # fmt: skip
        assert fact in text
    line = next(line for line in plan.costs if line.resource.startswith("training on"))
    hosts = line.cost * line.fewest
    assert hosts.usd == (None if usd is None else pytest.approx(usd))
    assert usd is None or hosts.at_least


def test_spot_prices_are_not_known(training_job):
    job = training_job(TrainingJobConfig(image="t", accelerator="v5e-8", scheduling="spot"))
    text = " ".join(render(plan_of(job)).split())
    assert "training on ct5lp-hightpu-8t unknown" in text
    assert "prices of spot machines change" in text


def test_where_the_model_goes(training_job):
    endpoint = "projects/example/locations/us-central1/endpoints/7"
    job = training_job(TrainingJobConfig(image="t"), RegistryConfig(endpoint=endpoint))
    text = " ".join(render(plan_of(job), width=120).split())
    assert "pushed to gs://example/pushed" in text
    assert "a new version of model platewise" in text
    assert f"deployed to {endpoint}" in text
    assert "1 to 2 x n1-standard-4, billed until it is undeployed" in text


def test_another_region_is_unknown(toy_job):
    config = VertexConfig(
        project="example", region="europe-west4", pipeline_root="gs://example/root"
    )
    toy_job = json.loads(json.dumps(toy_job).replace("us-central1", "europe-west4"))
    plan = plan_of(toy_job, config)
    assert {line.cost.usd for line in plan.costs} == {None}
    text = render(plan)
    assert "unknown" in text and "in europe-west4" in text
    assert "Compute Engine's default service account" in text


def test_prices_of_ones_own(tmp_path, toy_job):
    path = tmp_path / "prices.toml"
    path.write_text(
        """
[[price]]
what = "pipeline run"
usd = 1.5
per = "run"
region = "us-central1"
read = 2026-02-03
source = "contract 7"
"""
    )
    plan = plan_of(toy_job, prices=load_prices(path))
    assert plan.costs[0].cost == Cost(1.5)
    assert "read between 2026-02-03 and 2026-02-03" in " ".join(render(plan).split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[[price]]\nwhat = 'x'\nusd = -1.0\nper = 'hour'\nregion='r'\nread='d'\nsource='s'",
            ">= 0",
        ),
        ("[[price]]\nwhat = 'x'\nusd = 1.0\nper = 'day'\nregion='r'\nread='d'\nsource='s'", "per"),
        ("[[price]]\nwhat = 'x'\nused = 1.0", "did you mean usd"),
        ("[[prices]]\nwhat = 'x'", "only \\[\\[price\\]\\]"),
        ("[[price", "valid|Expected|expected|Unclosed"),
    ],
)
def test_a_bad_table(tmp_path, text, said):
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as raised:
        load_prices(path)
    assert "prices.toml" in str(raised.value)


def test_the_shipped_table():
    table = load_prices()
    names = [(price.what, price.region) for price in table.prices]
    assert len(names) == len(set(names))
    for price in table.prices:
        assert price.source.startswith("https://cloud.google.com/")
        assert "2026-01-01" <= price.read < "2027"
        assert not price.at_least or price.note
    assert table.machine("ct5lp-hightpu-8t", "", 0, "us-central1").at_least
    assert table.machine("n1-standard-8", "NVIDIA_TESLA_T4", 2, "us-central1") == Cost(
        pytest.approx(2 * 0.21849885 + 2 * 0.35), "Compute Engine's price; Vertex AI's fee comes "
        "on top", True,
    )  # fmt: skip
    assert table.machine("n1-standard-8", "TPU_V9", 1, "us-central1").usd is None
    assert table.machine("x9-mega", "", 0, "us-central1").usd is None
    assert table.step(500, 16, "us-central1").usd is None


def test_shapes_of_machines():
    assert machine_shape("n2-standard-8") == (8, 32)
    assert machine_shape("n1-highmem-4") == (4, 26)
    assert machine_shape("e2-medium") is None


def test_a_sum_knows_what_it_leaves_out():
    assert total([Cost(1.0), Cost(2.0)]) == Cost(3.0)
    assert total([Cost(1.0), Cost(None)]) == Cost(1.0, at_least=True)
    assert total([Cost(None)]).usd is None
    assert str(Cost(1.005, at_least=True)) == "≥ 1.00"


SECRETS = {
    "argument": "--db_password=hunter2",
    "json": '{"api_key": "hunter2", "epochs": 3}',
    "nested": json.dumps({"args": json.dumps({"client_secret": "hunter2"})}),
    "url": "https://user:hunter2@example.com/x",
    "token": "ya29.hunter2hunter2",
    "key": "AIzahunter2hunter2hunter2hunter2hunter2x",
    "pem": "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_no_secret_is_shown(toy_job, kind):
    assert "hunter2" not in json.dumps(redacted({"x": [SECRETS[kind]]}))
    executors = toy_job["pipelineSpec"]["deploymentSpec"]["executors"]
    executors["PlateExampleGen_executor"]["container"]["args"].append(SECRETS[kind])
    toy_job["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]["screen_root"][
        "defaultValue"
    ] = SECRETS[kind]
    text = render(plan_of(toy_job))
    assert HIDDEN in text
    assert "hunter2" not in text


def test_what_is_no_secret_is_shown_as_it_is(toy_job):
    request = build_request(toy_job, CONFIG, {"threshold": 0.5}, job_id="run-1")
    plan = make_plan(request, load_prices())
    assert redacted(plan.request) == plan.request
    assert redacted({"password": "x", "n": 3, "none": None}) == {
        "password": HIDDEN, "n": 3, "none": None,
    }  # fmt: skip
