# Evaluates the whole configuration with a mocked provider, without a cloud; check.sh runs it.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
  mock_data "google_storage_project_service_account" {
    defaults = { member = "serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com" }
  }

  # Values as the cloud makes them: the real provider checks what is built of them.
  mock_resource "google_project_iam_custom_role" {
    defaults = { id = "projects/plates/roles/platewiseMocked" }
  }
  mock_resource "google_kms_key_ring" {
    defaults = { id = "projects/plates/locations/us-central1/keyRings/platewise-prod" }
  }
  mock_resource "google_kms_crypto_key" {
    defaults = { id = "projects/plates/locations/us-central1/keyRings/platewise-prod/cryptoKeys/artifacts" }
  }
  mock_resource "google_compute_network" {
    defaults = { id = "projects/plates/global/networks/platewise-prod" }
  }
  mock_resource "google_iam_workload_identity_pool" {
    defaults = { name = "projects/123456789012/locations/global/workloadIdentityPools/platewise-prod-github" }
  }

  override_resource {
    target = google_service_account.pipeline
    values = {
      name   = "projects/plates/serviceAccounts/platewise-pipeline@plates.iam.gserviceaccount.com"
      email  = "platewise-pipeline@plates.iam.gserviceaccount.com"
      member = "serviceAccount:platewise-pipeline@plates.iam.gserviceaccount.com"
    }
  }

  override_resource {
    target = google_service_account.trainer
    values = {
      name   = "projects/plates/serviceAccounts/platewise-trainer@plates.iam.gserviceaccount.com"
      email  = "platewise-trainer@plates.iam.gserviceaccount.com"
      member = "serviceAccount:platewise-trainer@plates.iam.gserviceaccount.com"
    }
  }

  override_resource {
    target = google_service_account.dataflow
    values = {
      name   = "projects/plates/serviceAccounts/platewise-dataflow@plates.iam.gserviceaccount.com"
      email  = "platewise-dataflow@plates.iam.gserviceaccount.com"
      member = "serviceAccount:platewise-dataflow@plates.iam.gserviceaccount.com"
    }
  }

  override_resource {
    target = google_service_account.trigger
    values = {
      name   = "projects/plates/serviceAccounts/platewise-trigger@plates.iam.gserviceaccount.com"
      email  = "platewise-trigger@plates.iam.gserviceaccount.com"
      member = "serviceAccount:platewise-trigger@plates.iam.gserviceaccount.com"
    }
  }

  override_resource {
    target = google_service_account.scheduler
    values = {
      name   = "projects/plates/serviceAccounts/platewise-scheduler@plates.iam.gserviceaccount.com"
      email  = "platewise-scheduler@plates.iam.gserviceaccount.com"
      member = "serviceAccount:platewise-scheduler@plates.iam.gserviceaccount.com"
    }
  }

  override_resource {
    target = google_service_account.ci
    values = {
      name   = "projects/plates/serviceAccounts/platewise-ci@plates.iam.gserviceaccount.com"
      email  = "platewise-ci@plates.iam.gserviceaccount.com"
      member = "serviceAccount:platewise-ci@plates.iam.gserviceaccount.com"
    }
  }
}

variables {
  project     = "plates"
  environment = "dev"
}

run "smallest" {
  assert {
    condition     = output.service_accounts.pipeline == "platewise-pipeline@plates.iam.gserviceaccount.com"
    error_message = "Not the pipeline's account."
  }
  assert {
    condition     = strcontains(output.platewise_toml, "pipeline_root = \"gs://plates-platewise-dev-artifacts/pipelines\"")
    error_message = "The configuration names another bucket."
  }
  assert {
    condition     = length(google_cloud_scheduler_job.training) + length(google_eventarc_trigger.plates) + length(google_billing_budget.this) == 0
    error_message = "Something starts pipelines or reads a bill that nobody asked for."
  }
  assert {
    condition     = !contains(keys(local.acts_as), "ci_as_pipeline") && !contains(keys(local.project_roles), "ci_submits")
    error_message = "CI may run pipelines without having been allowed to."
  }
}

run "who_writes" {
  # The whole table, so that a new writer has to be written down twice.
  assert {
    condition = { for key, grant in output.object_writers : key => "${grant.who} ${grant.bucket}" } == {
      pipeline_artifacts = "serviceAccount:platewise-pipeline@plates.iam.gserviceaccount.com plates-platewise-dev-artifacts"
      pipeline_models    = "serviceAccount:platewise-pipeline@plates.iam.gserviceaccount.com plates-platewise-dev-models"
      pipeline_temp      = "serviceAccount:platewise-pipeline@plates.iam.gserviceaccount.com plates-platewise-dev-temp"
      trainer_artifacts  = "serviceAccount:platewise-trainer@plates.iam.gserviceaccount.com plates-platewise-dev-artifacts"
      dataflow_artifacts = "serviceAccount:platewise-dataflow@plates.iam.gserviceaccount.com plates-platewise-dev-artifacts"
      dataflow_temp      = "serviceAccount:platewise-dataflow@plates.iam.gserviceaccount.com plates-platewise-dev-temp"
      trigger_markers    = "serviceAccount:platewise-trigger@plates.iam.gserviceaccount.com plates-platewise-dev-artifacts"
    }
    error_message = "The table of writers changed."
  }
  assert {
    condition     = output.object_writers.trainer_artifacts.when == "resource.name.startsWith('projects/_/buckets/plates-platewise-dev-artifacts/objects/pipelines/checkpoints/') || (resource.name.startsWith('projects/_/buckets/plates-platewise-dev-artifacts/objects/pipelines/') && resource.name.extract('/PlateTrainingJob_{task}/') != '')"
    error_message = "The trainer may write something else than checkpoints and weights."
  }
}

run "no_editors" {
  assert {
    condition     = length(google_storage_bucket_iam_binding.owners) == 8 && alltrue([for b in google_storage_bucket_iam_binding.owners : b.members == toset(["projectOwner:plates"])])
    error_message = "Editors of the project may write into a bucket."
  }
}

run "everything" {
  variables {
    environment          = "prod"
    operators            = ["group:screens@example.com"]
    screen_writers       = ["serviceAccount:scope@example.iam.gserviceaccount.com"]
    extra_screen_buckets = ["old-screens"]
    customer_managed_key = true
    ci_runs_pipelines    = true
    network              = { create = true, service_access = true }
    github               = { repository = "example/platewise", repository_id = "42", ref = "refs/tags/v*" }
    cloud_build          = { repository = "projects/plates/locations/us-central1/connections/c/repositories/r", tag = "^v" }
    schedule             = { template = "platewise-training/latest", cron = "0 3 * * 1", parameters = { epochs = "3" } }
    budget               = { billing_account = "000000-000000-000000", amount = 2000, emails = ["a@example.com"] }
    scoring = {
      image    = "us-central1-docker.pkg.dev/plates/platewise-prod/trigger@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      template = "platewise-scoring/latest"
    }
  }

  assert {
    condition     = google_iam_workload_identity_pool_provider.github[0].attribute_condition == "assertion.repository == 'example/platewise' && assertion.repository_id == '42' && assertion.ref.startsWith('refs/tags/v')"
    error_message = "Another repository or ref may act as CI."
  }
  assert {
    condition     = jsondecode(base64decode(google_cloud_scheduler_job.training[0].http_target[0].body)).templateUri == "https://us-central1-kfp.pkg.dev/plates/platewise-prod-templates/platewise-training/latest"
    error_message = "The schedule starts another template."
  }
  assert {
    condition     = jsondecode(base64decode(google_cloud_scheduler_job.training[0].http_target[0].body)).serviceAccount == output.service_accounts.pipeline
    error_message = "The schedule runs as another account."
  }
  assert {
    condition     = strcontains(output.platewise_toml, "network = \"projects/123456789012/global/networks/platewise-prod\"")
    error_message = "Vertex AI wants the network by the project's number."
  }
  assert {
    condition     = alltrue([for b in [google_storage_bucket.screens, google_storage_bucket.artifacts, google_storage_bucket.models, google_storage_bucket.temp] : length(b.encryption) == 1])
    error_message = "A bucket is not encrypted with the key."
  }
  assert {
    condition     = length(google_storage_bucket_iam_member.writer["serviceAccount:scope@example.iam.gserviceaccount.com_screens"].condition) == 0 && google_storage_bucket_iam_member.writer["serviceAccount:scope@example.iam.gserviceaccount.com_screens"].role == "roles/storage.objectCreator"
    error_message = "The microscope may change plates."
  }
}

run "refuses_another_environment" {
  command = plan
  variables {
    environment = "staging"
  }
  expect_failures = [var.environment]
}

run "refuses_an_image_by_tag" {
  command = plan
  variables {
    scoring = { image = "us-central1-docker.pkg.dev/plates/r/trigger:latest", template = "t/latest" }
  }
  expect_failures = [var.scoring]
}

run "refuses_everyone" {
  command = plan
  variables {
    operators = ["allUsers"]
  }
  expect_failures = [var.operators]
}
