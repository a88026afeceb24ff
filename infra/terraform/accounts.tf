# One account for each kind of work. Nothing runs as a default account, and none has a key.

resource "google_service_account" "pipeline" {
  account_id   = "${local.name}-pipeline"
  display_name = "Platewise ${var.environment}: steps of the pipeline"
  depends_on   = [google_project_service.this]
}

resource "google_service_account" "trainer" {
  account_id   = "${local.name}-trainer"
  display_name = "Platewise ${var.environment}: training jobs"
  depends_on   = [google_project_service.this]
}

resource "google_service_account" "dataflow" {
  account_id   = "${local.name}-dataflow"
  display_name = "Platewise ${var.environment}: Dataflow workers"
  depends_on   = [google_project_service.this]
}

resource "google_service_account" "trigger" {
  account_id   = "${local.name}-trigger"
  display_name = "Platewise ${var.environment}: starts scoring for a complete plate"
  depends_on   = [google_project_service.this]
}

resource "google_service_account" "scheduler" {
  account_id   = "${local.name}-scheduler"
  display_name = "Platewise ${var.environment}: starts training on a schedule"
  depends_on   = [google_project_service.this]
}

resource "google_service_account" "ci" {
  account_id   = "${local.name}-ci"
  display_name = "Platewise ${var.environment}: CI, pushes images and templates"
  depends_on   = [google_project_service.this]
}

locals {
  # Who may run something as whom. Whoever may act as the pipeline may write artifacts through it,
  # so this table is as important as the one of object writers.
  accounts_act_as = {
    pipeline_as_trainer   = { who = google_service_account.pipeline.member, account = google_service_account.trainer.name }
    pipeline_as_dataflow  = { who = google_service_account.pipeline.member, account = google_service_account.dataflow.name }
    trigger_as_pipeline   = { who = google_service_account.trigger.member, account = google_service_account.pipeline.name }
    scheduler_as_pipeline = { who = google_service_account.scheduler.member, account = google_service_account.pipeline.name }
  }

  acts_as = merge(
    local.accounts_act_as,
    var.ci_runs_pipelines ? {
      ci_as_pipeline = { who = google_service_account.ci.member, account = google_service_account.pipeline.name }
    } : {},
    { for who in var.operators : "${who}_as_pipeline" => { who = who, account = google_service_account.pipeline.name } },
  )
}

resource "google_service_account_iam_member" "acts_as" {
  for_each = local.acts_as

  service_account_id = each.value.account
  role               = "roles/iam.serviceAccountUser"
  member             = each.value.who
}
