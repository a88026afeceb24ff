"""Who may do what in the cloud project: the Terraform configuration, read by an HCL parser."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TERRAFORM = REPOSITORY / "infra/terraform"
PRIMITIVE = {"roles/owner", "roles/editor", "roles/viewer"}
#: All that an account holds in the project. A new entry is a decision.
PROJECT_ROLES = {
    "pipeline_vertex": ("pipeline", "roles/aiplatform.user"),
    "pipeline_dataflow": ("pipeline", "roles/dataflow.developer"),
    "pipeline_logs": ("pipeline", "roles/logging.logWriter"),
    "trainer_logs": ("trainer", "roles/logging.logWriter"),
    "trainer_metrics": ("trainer", "roles/monitoring.metricWriter"),
    "trainer_curves": ("trainer", "curves"),
    "dataflow_worker": ("dataflow", "dataflow_worker"),
    "dataflow_logs": ("dataflow", "roles/logging.logWriter"),
    "dataflow_metrics": ("dataflow", "roles/monitoring.metricWriter"),
    "trigger_submits": ("trigger", "submitter"),
    "trigger_receives": ("trigger", "roles/eventarc.eventReceiver"),
    "trigger_logs": ("trigger", "roles/logging.logWriter"),
    "scheduler_submits": ("scheduler", "submitter"),
    "ci_logs": ("ci", "roles/logging.logWriter"),
}
#: Who writes into which bucket, and with which role.
WRITERS = {
    "pipeline_artifacts": ("pipeline", "artifacts", "roles/storage.objectUser"),
    "pipeline_models": ("pipeline", "models", "roles/storage.objectCreator"),
    "pipeline_temp": ("pipeline", "temp", "roles/storage.objectUser"),
    "trainer_artifacts": ("trainer", "artifacts", "roles/storage.objectUser"),
    "dataflow_artifacts": ("dataflow", "artifacts", "roles/storage.objectUser"),
    "dataflow_temp": ("dataflow", "temp", "roles/storage.objectUser"),
    "trigger_markers": ("trigger", "artifacts", "roles/storage.objectCreator"),
}
RUN = "artifacts/pipelines/123/platewise-training-20261123"
#: Object -> the accounts that may write it.
OBJECTS = {
    f"{RUN}/PlateExampleGen_-77/examples/Split-train/p-00000-of-00001": {"pipeline", "dataflow"},
    f"{RUN}/PlateExampleGen_-77/.temp/beam/x": {"pipeline", "dataflow"},
    f"{RUN}/PlateTransform_5/transform_graph/saved_model.pb": {"pipeline", "dataflow"},
    f"{RUN}/PlateEvaluator_5/evaluation/metrics-00000": {"pipeline", "dataflow"},
    f"{RUN}/PlateTrainingJob_5/model_run/weights.weights.h5": {"pipeline", "trainer"},
    f"{RUN}/PlateExporter_5/model/Format-Serving/saved_model.pb": {"pipeline"},
    f"{RUN}/PlateReport_5/report/report.html": {"pipeline"},
    "artifacts/pipelines/checkpoints/abc/ckpt-3.index": {"trainer"},
    "artifacts/pipelines/checkpoints/PlateExampleGen_1/x": {"trainer"},
    "artifacts/triggers/screen/plate.json": {"trigger"},
    "artifacts/elsewhere/PlateExampleGen_1/x": set(),
    "artifacts/elsewhere/PlateTrainingJob_1/x": set(),
    "models/platewise/1763860000/saved_model.pb": {"pipeline"},
    "models/other/saved_model.pb": set(),
    "temp/beam/job/shuffle": {"pipeline", "dataflow"},
    "screens/incoming/s/p/metadata.csv": set(),
}


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


def account(text: str) -> str:
    match = re.fullmatch(r"\$\{google_service_account\.(\w+)\.(?:member|name)\}", text)
    assert match is not None, text
    return match[1]


def test_nobody_holds_a_primitive_or_wide_role(terraform: Any) -> None:
    roles = set(re.findall(r"roles/[\w.]+", json.dumps(terraform.files)))
    assert len(roles) > 10
    assert not roles & PRIMITIVE
    assert not {role for role in roles if re.search(r"(?i)admin|owner|editor|tokencreator", role)}
    assert "projectEditor" not in json.dumps(terraform.files)


def test_editors_of_the_project_are_taken_from_every_bucket(terraform: Any) -> None:
    """Cloud Storage names them owners of a new bucket, unless it is told who they are."""
    binding = terraform.blocks("resource")["google_storage_bucket_iam_binding.owners"]
    assert binding["members"] == ["projectOwner:${var.project}"]
    assert "setproduct(keys(local.buckets)" in binding["for_each"]
    for role in ("legacyBucketOwner", "legacyObjectOwner"):
        assert role in binding["for_each"]
    assert set(terraform.local("buckets")) == {"screens", "artifacts", "models", "temp"}


def test_roles_in_the_project_are_those_agreed(terraform: Any) -> None:
    own = re.compile(r"\$\{google_project_iam_custom_role\.(\w+)\.id\}")
    found = {
        key: (account(row["who"]), own.sub(r"\1", row["role"]))
        for key, row in terraform.local("account_roles").items()
    }
    assert found == PROJECT_ROLES
    # What variables add: CI where it may run pipelines, and people.
    added = terraform.local("project_roles")
    assert set(re.findall(r'role\s*[=:]\s*"?([\w./]+)', added)) == {
        "google_project_iam_custom_role.submitter.id",
        "roles/aiplatform.user",
        "roles/dataflow.viewer",
        "roles/logging.viewer",
    }


def test_roles_are_given_by_the_tables_alone(terraform: Any) -> None:
    """Anything else would go unseen; bindings and policies throw others out, as owners does."""
    kinds = re.compile(r"_iam_(member|binding|policy|audit_config)\.")
    assert {key for key in terraform.blocks("resource") if kinds.search(key)} == {
        "google_project_iam_audit_config.storage",
        "google_project_iam_member.this",
        "google_project_iam_member.storage_events",
        "google_storage_bucket_iam_binding.owners",
        "google_storage_bucket_iam_member.reader",
        "google_storage_bucket_iam_member.writer",
        "google_service_account_iam_member.acts_as",
        "google_service_account_iam_member.github",
        "google_artifact_registry_repository_iam_member.image_reader",
        "google_artifact_registry_repository_iam_member.template_reader",
        "google_artifact_registry_repository_iam_member.ci_images",
        "google_artifact_registry_repository_iam_member.ci_templates",
        "google_compute_subnetwork_iam_member.workers",
        "google_kms_crypto_key_iam_member.agents",
        "google_cloud_run_v2_service_iam_member.trigger",
    }


def test_nothing_is_for_everyone(terraform: Any) -> None:
    assert not re.search(r"allUsers|allAuthenticatedUsers|domain:", json.dumps(terraform.files))


def test_writers_are_those_agreed(terraform: Any) -> None:
    found = {
        key: (account(row["who"]), row["bucket"].removeprefix("${local.buckets.")[:-1], row["role"])
        for key, row in terraform.local("account_writers").items()
    }
    assert found == WRITERS
    readers = terraform.local("account_readers").values()
    assert {row["role"] for row in readers} == {
        "roles/storage.objectViewer",
        "roles/storage.legacyBucketReader",
    }


def condition(terraform: Any, expression: str) -> str:
    """A condition with its locals filled in; buckets are called by what they hold."""

    def fill(match: re.Match[str]) -> str:
        kind, _, key = match[1].partition(".")
        if kind == "objects":
            return f"projects/_/buckets/{key}/objects/"
        if kind == "of_beam_steps":
            steps = terraform.local("beam_steps")
            names = [step.strip('"') for step in steps]
            return " || ".join(f"resource.name.extract('/{n}_{{task}}/') != ''" for n in names)
        return str(terraform.local(kind))

    while "${local." in expression:
        expression = re.sub(r"\$\{local\.([\w.]+)\}", fill, expression)
    return expression


class Name(str):
    """``resource.name`` in the language of conditions."""

    def extract(self, template: str) -> str:
        """What stands between the template's two halves; empty where they do not occur."""
        before, _, after = re.sub(r"\{\w+\}", "{}", template).partition("{}")
        found = re.search(f"{re.escape(before)}(.*?){re.escape(after)}", self)
        return found[1] if found else ""


def holds(expression: str, name: str) -> bool:
    python = expression.replace("&&", " and ").replace("||", " or ").replace("!=", "<>")
    python = python.replace("!", " not ").replace("<>", "!=").replace("startsWith", "startswith")
    assert re.fullmatch(r"[\w\s.()'/{}!=-]*", python), python
    resource = type("Resource", (), {"name": Name(name)})
    return bool(eval(python, {"__builtins__": {}}, {"resource": resource}))


@pytest.mark.parametrize("name", OBJECTS)
def test_who_may_write_an_object(terraform: Any, name: str) -> None:
    bucket, _, rest = name.partition("/")
    full = f"projects/_/buckets/{bucket}/objects/{rest}"
    able = {
        account(row["who"])
        for row in terraform.local("account_writers").values()
        if row["bucket"] == f"${{local.buckets.{bucket}}}"
        and (not row["when"] or holds(condition(terraform, row["when"]), full))
    }
    assert able == OBJECTS[name]


def test_buckets_are_private(terraform: Any) -> None:
    buckets = {
        key.partition(".")[2]: body
        for key, body in terraform.blocks("resource").items()
        if key.startswith("google_storage_bucket.")
    }
    assert set(buckets) == {"screens", "artifacts", "models", "temp"}
    for name, body in buckets.items():
        assert body["public_access_prevention"] == "enforced", name
        assert body["uniform_bucket_level_access"] is True, name
        assert body["location"] == "${var.region}", name
        assert body["versioning"][0]["enabled"] is (name != "temp"), name
        assert "Delete" in [rule["action"][0]["type"] for rule in body["lifecycle_rule"]], name
    assert buckets["screens"]["force_destroy"] is False
    assert buckets["temp"]["lifecycle_rule"][0]["condition"][0] == {"age": "${var.temp_days}"}


def test_ci_pushes_and_writes_no_object(terraform: Any) -> None:
    """Images and templates come from CI, artifacts from runs alone."""
    grants = [
        key
        for key, body in terraform.blocks("resource").items()
        if body.get("member") == "${google_service_account.ci.member}"
    ]
    assert sorted(grants) == [
        "google_artifact_registry_repository_iam_member.ci_images",
        "google_artifact_registry_repository_iam_member.ci_templates",
    ]
    assert "ci" not in {who for who, *_ in WRITERS.values()}


def test_custom_roles_reach_no_object_and_no_policy(terraform: Any) -> None:
    roles = {k: v for k, v in terraform.blocks("resource").items() if "custom_role" in k}
    assert len(roles) == 3
    for name, body in roles.items():
        for permission in body["permissions"]:
            service, _, verb = permission.partition(".")
            assert service not in ("storage", "iam", "resourcemanager"), (name, permission)
            assert "etIamPolicy" not in verb and "*" not in permission, (name, permission)
    submitter = roles["google_project_iam_custom_role.submitter"]["permissions"]
    assert set(submitter) == {f"aiplatform.pipelineJobs.{v}" for v in ("create", "get", "list")}


def test_acting_as_an_account_is_given_on_that_account(terraform: Any) -> None:
    """In the project, serviceAccountUser would let its holder be any account at all."""
    grants = {
        key: body
        for key, body in terraform.blocks("resource").items()
        if body.get("role") == "roles/iam.serviceAccountUser"
    }
    assert set(grants) == {"google_service_account_iam_member.acts_as"}
    rows = terraform.local("accounts_act_as").values()
    assert {(account(row["who"]), account(row["account"])) for row in rows} == {
        ("pipeline", "trainer"),
        ("pipeline", "dataflow"),
        ("trigger", "pipeline"),
        ("scheduler", "pipeline"),
    }
    added = terraform.local("acts_as")
    assert set(re.findall(r"account\s*[=:]\s*([\w.]+)", added)) == {
        "google_service_account.pipeline.name"
    }
    assert re.search(r"var\.ci_runs_pipelines \?\s*\{\s*ci_as_pipeline", added)


def test_github_is_narrowed_to_a_repository_and_a_ref(terraform: Any) -> None:
    provider = terraform.blocks("resource")["google_iam_workload_identity_pool_provider.github"]
    rule = provider["attribute_condition"]
    assert rule == "${local.repo_rule}${local.id_rule} && ${local.ref_rule}"
    assert "assertion.repository ==" in terraform.local("repo_rule")
    assert provider["oidc"][0]["issuer_uri"] == "https://token.actions.githubusercontent.com"
    member = terraform.blocks("resource")["google_service_account_iam_member.github"]["member"]
    assert "/attribute.repository/${var.github.repository}" in member


def test_no_account_has_a_key(terraform: Any) -> None:
    assert "google_service_account_key" not in terraform.types("resource")
