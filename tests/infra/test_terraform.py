"""The shape of the Terraform configuration, and that Platewise understands what it prints."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipelines.vertex.config import VertexConfig
from trainer import strict

REPOSITORY = Path(__file__).resolve().parents[2]
TERRAFORM = REPOSITORY / "infra/terraform"
#: Arguments that every resource takes.
META = {"count", "for_each", "depends_on", "provider", "lifecycle", "dynamic"}


@pytest.fixture(scope="module")
def reading() -> Any:
    sys.path.insert(0, str(TERRAFORM / "standin"))
    try:
        import reading

        return reading
    finally:
        sys.path.remove(str(TERRAFORM / "standin"))


@pytest.fixture(scope="module")
def terraform(reading: Any) -> Any:
    return reading.Configuration()


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json.loads((TERRAFORM / "standin/schema.json").read_text())


def test_has_what_it_should(terraform: Any) -> None:
    assert {
        "google_project_service",
        "google_storage_bucket",
        "google_artifact_registry_repository",
        "google_service_account",
        "google_iam_workload_identity_pool_provider",
        "google_cloud_scheduler_job",
        "google_billing_budget",
        "google_compute_subnetwork",
        "google_compute_firewall",
        "google_service_networking_connection",
        "google_kms_crypto_key",
        "google_vertex_ai_tensorboard",
        "google_cloud_run_v2_service",
        "google_eventarc_trigger",
    } <= terraform.types("resource")
    formats = {
        body["format"]
        for key, body in terraform.blocks("resource").items()
        if key.startswith("google_artifact_registry_repository.")
    }
    assert formats == {"DOCKER", "KFP"}
    subnet = terraform.blocks("resource")["google_compute_subnetwork.this"]
    assert subnet["private_ip_google_access"] is True


def test_variables_and_outputs_say_what_they_are(terraform: Any) -> None:
    variables = terraform.blocks("variable")
    assert len(variables) > 15
    secret = re.compile(r"(?i)secret|passw|token|private_key|[\w.]+@[\w.]+\.\w+")
    for name, body in variables.items():
        assert len(body.get("description", "")) > 20, name
        assert body.get("type"), name
        # Defaults are committed: no secret, nobody's address.
        defaults = json.dumps([body.get("default", ""), str(body["type"])])
        assert not secret.search(defaults), name
    for name, body in terraform.blocks("output").items():
        assert len(body.get("description", "")) > 20, name


def test_versions_are_pinned(terraform: Any, schema: dict[str, Any]) -> None:
    (block,) = terraform.files["versions.tf"]["terraform"]
    assert block["required_version"] == ">= 1.8, < 2.0"
    (providers,) = block["required_providers"]
    assert set(providers) == {"google"}
    checked = ".".join(schema["version"].split(".")[:2])
    assert providers["google"]["version"] == f"~> {checked}"


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_environments_set_variables_that_exist(
    terraform: Any, reading: Any, environment: str
) -> None:
    given = reading.read(TERRAFORM / f"environments/{environment}.tfvars")
    assert set(given) <= set(terraform.blocks("variable"))
    assert given["environment"] == environment
    assert given["ci_runs_pipelines"] is (environment == "dev")
    backend = reading.read(TERRAFORM / f"environments/{environment}.backend.hcl")
    assert backend == {"prefix": f"platewise/{environment}"}


def test_every_argument_is_in_the_provider_schema(terraform: Any, schema: dict[str, Any]) -> None:
    """And every required one is given."""
    for kind in ("resource", "data"):
        assert terraform.types(kind) == set(schema[kind]), "run standin/extract.py again"
        for key, body in terraform.blocks(kind).items():
            assert faults(body, schema[kind][key.partition(".")[0]], key) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"public_acess_prevention": "enforced"}, "b: unknown public_acess_prevention"),
        ({"versioning": [{"enable": True}]}, "b.versioning: unknown enable, lacks enabled"),
        ({"location": None}, "b: lacks location"),
    ],
)
def test_a_wrong_argument_is_found(
    terraform: Any, schema: dict[str, Any], change: dict[str, Any], fault: str
) -> None:
    body = dict(terraform.blocks("resource")["google_storage_bucket.temp"]) | change
    body = {key: value for key, value in body.items() if value is not None}
    assert faults(body, schema["resource"]["google_storage_bucket"], "b") == [fault]


def faults(body: dict[str, Any], schema: dict[str, Any], where: str) -> list[str]:
    """What a block has that the schema has not, and the other way round where it is required."""
    nested = [(name, inner) for name in schema["blocks"] for inner in body.get(name, [])]
    for entry in body.get("dynamic", []):
        nested += [(name, inner["content"][0]) for name, inner in entry.items()]
    given = (set(body) | {name for name, _ in nested}) - META
    unknown = given - set(schema["attributes"]) - set(schema["blocks"])
    required = {k for k, v in schema["attributes"].items() if v["mode"] == "required"}
    lacks = (required | {k for k, v in schema["blocks"].items() if v["min"]}) - given
    said = [
        f"{word} {', '.join(sorted(names))}"
        for word, names in (("unknown", unknown), ("lacks", lacks))
        if names
    ]
    found = [f"{where}: {', '.join(said)}"] if said else []
    for name, inner in nested:
        if name in schema["blocks"]:
            found += faults(inner, schema["blocks"][name], f"{where}.{name}")
    return found


def render(template: str, values: dict[str, Any]) -> str:
    """What templatefile() does, as far as the template goes: jsonencode, a name, a loop."""

    def loop(match: re.Match[str]) -> str:
        key_name, value_name, mapping, line = match.groups()
        return "".join(
            line.replace(f"${{{key_name}}}", key).replace(
                f"${{jsonencode({value_name})}}", json.dumps(value)
            )
            for key, value in values[mapping].items()
        )

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return json.dumps(values[name])

    unrolled = re.sub(
        r"%\{ for (\w+), (\w+) in (\w+) ~\}\n(.*?)%\{ endfor ~\}\n", loop, template, flags=re.S
    )
    return re.sub(r"\$\{(?:jsonencode\((\w+)\)|(\w+))\}", value, unrolled)


def test_the_rendered_configuration_is_one(terraform: Any) -> None:
    """Every key that Terraform prints is one of ``[vertex]``; an unknown key is an error."""
    call = terraform.blocks("output")["platewise_toml"]["value"]
    names = re.findall(r"(\w+)\s*[=:]\s", call.partition("{path.module}")[2])
    values: dict[str, Any] = {name: f"value-of-{name}" for name in names}
    values |= {
        "pipeline_root": "gs://artifacts/pipelines",
        "temp_location": "gs://temp/beam",
        "models": "gs://models/platewise",
        "labels": {"app": "platewise", "environment": "dev"},
        "public_addresses": False,
    }
    text = render((TERRAFORM / "templates/platewise.toml.tftpl").read_text(), values)
    assert "${" not in text and "%{" not in text
    parsed = tomllib.loads(text)
    assert set(parsed) == {"push", "vertex"}
    config = strict.build(VertexConfig, parsed["vertex"], "vertex")
    config.require("project", "pipeline_root", "image", "service_account", "training.image")
    assert config.labels == {"app": "platewise", "environment": "dev"}
    assert config.trainer_service_account == "value-of-trainer_service_account"
    assert config.dataflow_service_account == "value-of-dataflow_service_account"
    assert config.training.image == "value-of-trainer_image"
    assert config.beam.public_addresses is False
    assert parsed["push"] == {"folder": "gs://models/platewise"}


def test_conditions_name_what_the_pipeline_writes(terraform: Any) -> None:
    """Steps by their component's name, and the folder of checkpoints."""
    assert terraform.local("checkpoints_prefix") == "pipelines/checkpoints/"
    target = (REPOSITORY / "pipelines/vertex/target.py").read_text()
    assert "/checkpoints" in target
    sources = [path.read_text() for path in (REPOSITORY / "components").rglob("component.py")]
    for step in (*terraform.local("beam_steps"), "PlateTrainingJob"):
        name = step.strip('"')
        assert any(f"class {name}(" in source for source in sources), name


def has_tools() -> bool:
    named = os.environ.get("TERRAFORM", "")
    tool = any(shutil.which(tool) for tool in (named, "tofu", "terraform") if tool)
    return tool and shutil.which("go") is not None


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.skipif(not has_tools(), reason="needs Go, and tofu or terraform, on the path")
def test_validates_and_evaluates() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TF_CLI_CONFIG_FILE"}
    done = subprocess.run(
        ["sh", str(TERRAFORM / "check.sh"), "--standin"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "validate: clean" in done.stdout
    assert re.search(r"Success! [1-9]\d* passed, 0 failed", done.stdout)
