# Images (Docker) and compiled pipelines (KFP templates).

resource "google_artifact_registry_repository" "images" {
  repository_id = local.name
  description   = "Platewise ${var.environment}: container images"
  location      = var.region
  format        = "DOCKER"
  kms_key_name  = local.kms_key_name

  vulnerability_scanning_config {
    enablement_config = "INHERITED"
  }

  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      keep_count = 20
    }
  }
  # A compiled pipeline names images by digest: what is older than any schedule may go.
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "${180 * 24 * 3600}s"
    }
  }

  depends_on = [google_project_service.this, google_kms_crypto_key_iam_member.agents]
}

resource "google_artifact_registry_repository" "templates" {
  repository_id = "${local.name}-templates"
  description   = "Platewise ${var.environment}: compiled pipelines"
  location      = var.region
  format        = "KFP"
  kms_key_name  = local.kms_key_name

  depends_on = [google_project_service.this, google_kms_crypto_key_iam_member.agents]
}

locals {
  image_readers = merge(
    {
      pipeline = google_service_account.pipeline.member
      trainer  = google_service_account.trainer.member
      dataflow = google_service_account.dataflow.member
    },
    { for who in var.promoters : who => who },
  )
  template_readers = merge(
    {
      pipeline  = google_service_account.pipeline.member
      trigger   = google_service_account.trigger.member
      scheduler = google_service_account.scheduler.member
    },
    { for who in concat(var.operators, var.promoters) : who => who },
  )
}

resource "google_artifact_registry_repository_iam_member" "image_reader" {
  for_each = local.image_readers

  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = each.value
}

resource "google_artifact_registry_repository_iam_member" "template_reader" {
  for_each = local.template_readers

  location   = google_artifact_registry_repository.templates.location
  repository = google_artifact_registry_repository.templates.name
  role       = "roles/artifactregistry.reader"
  member     = each.value
}

# CI alone pushes, and writer (unlike repoAdmin) cannot delete what was pushed.
resource "google_artifact_registry_repository_iam_member" "ci_images" {
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.ci.member
}

resource "google_artifact_registry_repository_iam_member" "ci_templates" {
  location   = google_artifact_registry_repository.templates.location
  repository = google_artifact_registry_repository.templates.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.ci.member
}
