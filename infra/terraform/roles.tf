# What each account may do in the project. Objects in buckets: storage_iam.tf.

# Submitting alone: no uploading of models, no endpoints, no jobs of one's own.
resource "google_project_iam_custom_role" "submitter" {
  role_id     = "platewiseSubmitter${local.role_suffix}"
  title       = "Platewise ${var.environment}: submit pipelines"
  description = "Create pipeline jobs and look at them; running as the pipeline's account needs serviceAccountUser on it besides."
  permissions = [
    "aiplatform.pipelineJobs.create",
    "aiplatform.pipelineJobs.get",
    "aiplatform.pipelineJobs.list",
  ]
}

# roles/dataflow.worker without its storage.objects.create and .get, which hold for every bucket
# of the project: with them a worker could write models.
resource "google_project_iam_custom_role" "dataflow_worker" {
  role_id     = "platewiseDataflowWorker${local.role_suffix}"
  title       = "Platewise ${var.environment}: Dataflow worker without storage"
  description = "What roles/dataflow.worker has for work items, shuffle and autoscaling."
  permissions = [
    "autoscaling.sites.readRecommendations",
    "autoscaling.sites.writeMetrics",
    "autoscaling.sites.writeState",
    "compute.instanceGroupManagers.update",
    "compute.instances.delete",
    "compute.instances.setDiskAutoDelete",
    "dataflow.jobs.get",
    "dataflow.shuffle.read",
    "dataflow.shuffle.write",
    "dataflow.streamingWorkItems.ImportState",
    "dataflow.streamingWorkItems.commitWork",
    "dataflow.streamingWorkItems.getData",
    "dataflow.streamingWorkItems.getWork",
    "dataflow.streamingWorkItems.getWorkerMetadata",
    "dataflow.workItems.lease",
    "dataflow.workItems.sendMessage",
    "dataflow.workItems.update",
  ]
}

# Vertex AI uploads a training job's curves as the job's account.
resource "google_project_iam_custom_role" "curves" {
  role_id     = "platewiseCurves${local.role_suffix}"
  title       = "Platewise ${var.environment}: write curves"
  description = "Create experiments, runs and time series in a Vertex AI TensorBoard, and nothing else of Vertex AI."
  permissions = [
    "aiplatform.tensorboardExperiments.create",
    "aiplatform.tensorboardExperiments.get",
    "aiplatform.tensorboardExperiments.list",
    "aiplatform.tensorboardExperiments.update",
    "aiplatform.tensorboardExperiments.write",
    "aiplatform.tensorboardRuns.batchCreate",
    "aiplatform.tensorboardRuns.create",
    "aiplatform.tensorboardRuns.get",
    "aiplatform.tensorboardRuns.list",
    "aiplatform.tensorboardRuns.update",
    "aiplatform.tensorboardRuns.write",
    "aiplatform.tensorboardTimeSeries.batchCreate",
    "aiplatform.tensorboardTimeSeries.create",
    "aiplatform.tensorboardTimeSeries.get",
    "aiplatform.tensorboardTimeSeries.list",
    "aiplatform.tensorboardTimeSeries.update",
    "aiplatform.tensorboards.get",
  ]
}

locals {
  account_roles = {
    # Custom jobs, metadata, model registry: Vertex AI has no finer role that covers them.
    pipeline_vertex   = { who = google_service_account.pipeline.member, role = "roles/aiplatform.user" }
    pipeline_dataflow = { who = google_service_account.pipeline.member, role = "roles/dataflow.developer" }
    pipeline_logs     = { who = google_service_account.pipeline.member, role = "roles/logging.logWriter" }

    trainer_logs    = { who = google_service_account.trainer.member, role = "roles/logging.logWriter" }
    trainer_metrics = { who = google_service_account.trainer.member, role = "roles/monitoring.metricWriter" }
    trainer_curves  = { who = google_service_account.trainer.member, role = google_project_iam_custom_role.curves.id }

    dataflow_worker  = { who = google_service_account.dataflow.member, role = google_project_iam_custom_role.dataflow_worker.id }
    dataflow_logs    = { who = google_service_account.dataflow.member, role = "roles/logging.logWriter" }
    dataflow_metrics = { who = google_service_account.dataflow.member, role = "roles/monitoring.metricWriter" }

    trigger_submits  = { who = google_service_account.trigger.member, role = google_project_iam_custom_role.submitter.id }
    trigger_receives = { who = google_service_account.trigger.member, role = "roles/eventarc.eventReceiver" }
    trigger_logs     = { who = google_service_account.trigger.member, role = "roles/logging.logWriter" }

    scheduler_submits = { who = google_service_account.scheduler.member, role = google_project_iam_custom_role.submitter.id }

    ci_logs = { who = google_service_account.ci.member, role = "roles/logging.logWriter" }
  }

  project_roles = merge(
    local.account_roles,
    var.ci_runs_pipelines ? {
      ci_submits = { who = google_service_account.ci.member, role = google_project_iam_custom_role.submitter.id }
    } : {},
    { for who in var.operators : "${who}_vertex" => { who = who, role = "roles/aiplatform.user" } },
    { for who in var.operators : "${who}_dataflow" => { who = who, role = "roles/dataflow.viewer" } },
    { for who in var.operators : "${who}_logs" => { who = who, role = "roles/logging.viewer" } },
  )
}

resource "google_project_iam_member" "this" {
  for_each = local.project_roles

  project = var.project
  role    = each.value.role
  member  = each.value.who
}
