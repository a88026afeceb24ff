# Names, labels and the services that everything else needs.

locals {
  name   = "platewise-${var.environment}"
  labels = merge({ app = "platewise", environment = var.environment }, var.labels)
  # Custom roles may not have hyphens in their ids.
  role_suffix = title(var.environment)

  services = toset([
    "aiplatform.googleapis.com",
    "artifactregistry.googleapis.com",
    "billingbudgets.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudkms.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "compute.googleapis.com",
    "containeranalysis.googleapis.com",
    "dataflow.googleapis.com",
    "eventarc.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "servicenetworking.googleapis.com",
    "storage.googleapis.com",
    "sts.googleapis.com",
  ])
}

data "google_project" "this" {
  project_id = var.project
}

resource "google_project_service" "this" {
  for_each = local.services

  project = var.project
  service = each.key
  # Others in the project may use the service too.
  disable_on_destroy = false
}

resource "google_vertex_ai_tensorboard" "this" {
  count = var.tensorboard ? 1 : 0

  display_name = local.name
  description  = "Curves of Platewise's training jobs"
  region       = var.region

  dynamic "encryption_spec" {
    for_each = google_kms_crypto_key.this
    content {
      kms_key_name = encryption_spec.value.id
    }
  }

  depends_on = [google_project_service.this, google_kms_crypto_key_iam_member.agents]
}
