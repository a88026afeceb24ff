# Training on a schedule. The provider has no resource for Vertex AI's own schedules (6.50.0), so
# Cloud Scheduler posts a pipeline job that names the template; Vertex AI reads the specification
# from the registry. `platewise schedule` makes one of Vertex AI's own instead.

resource "google_cloud_scheduler_job" "training" {
  count = var.schedule == null ? 0 : 1

  name             = "${local.name}-training"
  description      = "Starts ${var.schedule.template}"
  region           = var.region
  schedule         = var.schedule.cron
  time_zone        = var.schedule.time_zone
  paused           = var.schedule.paused
  attempt_deadline = "180s"

  # No retry: a request that Vertex AI took but did not answer in time would train twice.
  retry_config {
    retry_count = 0
  }

  http_target {
    http_method = "POST"
    uri         = "https://${var.region}-aiplatform.googleapis.com/v1/projects/${var.project}/locations/${var.region}/pipelineJobs"
    headers     = { "Content-Type" = "application/json" }
    body = base64encode(jsonencode(merge(
      {
        displayName    = "platewise-training-scheduled"
        templateUri    = "${local.template_host}/${var.schedule.template}"
        serviceAccount = google_service_account.pipeline.email
        labels         = local.labels
        runtimeConfig = {
          gcsOutputDirectory = local.pipeline_root
          parameterValues    = var.schedule.parameters
        }
      },
      local.peered_network == "" ? {} : { network = local.peered_network },
      local.kms_key_name == null ? {} : { encryptionSpec = { kmsKeyName = local.kms_key_name } },
    )))

    oauth_token {
      service_account_email = google_service_account.scheduler.email
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }

  depends_on = [google_service_account_iam_member.acts_as, google_project_iam_member.this]
}
