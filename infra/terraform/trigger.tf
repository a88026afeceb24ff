# New plates: Cloud Storage tells Eventarc of every finished upload, Eventarc calls the service in
# infra/trigger, and that starts scoring once a plate has every file that its table lists.

resource "google_cloud_run_v2_service" "trigger" {
  count = var.scoring == null ? 0 : 1

  name                = "${local.name}-trigger"
  description         = "Starts scoring once for each complete plate"
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  deletion_protection = false

  template {
    service_account = google_service_account.trigger.email
    timeout         = "300s"
    # Each request lists a plate's folder: few side by side, none waiting when nothing lands.
    max_instance_request_concurrency = 8

    scaling {
      min_instance_count = 0
      max_instance_count = 4
    }

    containers {
      image = var.scoring.image

      resources {
        limits = { cpu = "1", memory = "1Gi" }
      }

      dynamic "env" {
        for_each = {
          PLATEWISE_PROJECT         = var.project
          PLATEWISE_REGION          = var.region
          PLATEWISE_BUCKET          = google_storage_bucket.screens.name
          PLATEWISE_PREFIX          = var.scoring.prefix
          PLATEWISE_TABLE           = var.scoring.table
          PLATEWISE_PATH_TEMPLATE   = var.scoring.path_template
          PLATEWISE_CHANNELS        = jsonencode(var.scoring.channels)
          PLATEWISE_SITES           = jsonencode(var.scoring.sites)
          PLATEWISE_COLUMNS         = jsonencode(var.scoring.columns)
          PLATEWISE_MARKERS         = "gs://${google_storage_bucket.artifacts.name}/${local.triggers_prefix}"
          PLATEWISE_TEMPLATE        = "${local.template_host}/${var.scoring.template}"
          PLATEWISE_PARAMETERS      = jsonencode(var.scoring.parameters)
          PLATEWISE_PIPELINE_ROOT   = local.pipeline_root
          PLATEWISE_SERVICE_ACCOUNT = google_service_account.pipeline.email
          PLATEWISE_NETWORK         = local.peered_network
          PLATEWISE_ENCRYPTION_KEY  = local.kms_key_name == null ? "" : local.kms_key_name
          PLATEWISE_LABELS          = jsonencode(local.labels)
        }
        content {
          name  = env.key
          value = env.value
        }
      }
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_cloud_run_v2_service_iam_member" "trigger" {
  count = var.scoring == null ? 0 : 1

  name     = google_cloud_run_v2_service.trigger[0].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.trigger.member
}

# Cloud Storage hands its events to Pub/Sub as its own agent.
resource "google_project_iam_member" "storage_events" {
  count = var.scoring == null ? 0 : 1

  project = var.project
  role    = "roles/pubsub.publisher"
  member  = data.google_storage_project_service_account.this.member
}

resource "google_eventarc_trigger" "plates" {
  count = var.scoring == null ? 0 : 1

  name            = "${local.name}-plates"
  location        = google_storage_bucket.screens.location
  service_account = google_service_account.trigger.email

  matching_criteria {
    attribute = "type"
    value     = "google.cloud.storage.object.v1.finalized"
  }
  matching_criteria {
    attribute = "bucket"
    value     = google_storage_bucket.screens.name
  }

  destination {
    cloud_run_service {
      service = google_cloud_run_v2_service.trigger[0].name
      region  = var.region
    }
  }

  depends_on = [google_project_iam_member.storage_events, google_project_iam_member.this, google_cloud_run_v2_service_iam_member.trigger]
}
