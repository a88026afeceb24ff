locals {
  image_host       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
  template_host    = "https://${var.region}-kfp.pkg.dev/${var.project}/${google_artifact_registry_repository.templates.repository_id}"
  components_image = "${local.image_host}/components:${var.image_tag}"
  trainer_image    = "${local.image_host}/trainer:${var.image_tag}"
  pipeline_root    = "gs://${google_storage_bucket.artifacts.name}/${trimsuffix(local.pipelines_prefix, "/")}"
  # Vertex AI wants the project's number here, and a peered network.
  peered_network = var.network.create && var.network.service_access ? "projects/${data.google_project.this.number}/global/networks/${google_compute_network.this[0].name}" : ""
}

output "platewise_toml" {
  description = "Sections [push] and [vertex] of Platewise's configuration: terraform output -raw platewise_toml >> my.toml"
  value = templatefile("${path.module}/templates/platewise.toml.tftpl", {
    project                  = var.project
    region                   = var.region
    pipeline_root            = local.pipeline_root
    temp_location            = "gs://${google_storage_bucket.temp.name}/beam"
    models                   = "gs://${google_storage_bucket.models.name}/${trimsuffix(local.models_prefix, "/")}"
    image                    = local.components_image
    trainer_image            = local.trainer_image
    service_account          = google_service_account.pipeline.email
    trainer_service_account  = google_service_account.trainer.email
    dataflow_service_account = google_service_account.dataflow.email
    network                  = local.peered_network
    encryption_key           = local.kms_key_name == null ? "" : local.kms_key_name
    labels                   = local.labels
    tensorboard              = var.tensorboard ? google_vertex_ai_tensorboard.this[0].name : ""
    subnetwork               = var.network.create ? "regions/${var.region}/subnetworks/${google_compute_subnetwork.this[0].name}" : ""
    public_addresses         = !var.network.create
  })
}

output "components_image" {
  description = "Image of the pipeline's components, to push to."
  value       = local.components_image
}

output "trainer_image" {
  description = "Image of the trainer without TFX, to push to."
  value       = local.trainer_image
}

output "image_repository" {
  description = "Docker repository, for docker push."
  value       = local.image_host
}

output "template_repository" {
  description = "Repository of compiled pipelines, for push_template.py."
  value       = local.template_host
}

output "buckets" {
  description = "Names of the buckets, by what they hold."
  value       = local.buckets
}

output "service_accounts" {
  description = "E-mail addresses of the accounts, by what they do."
  value = {
    pipeline  = google_service_account.pipeline.email
    trainer   = google_service_account.trainer.email
    dataflow  = google_service_account.dataflow.email
    trigger   = google_service_account.trigger.email
    scheduler = google_service_account.scheduler.email
    ci        = google_service_account.ci.email
  }
}

output "object_writers" {
  description = "Who may write which objects: the trust boundary, for review."
  value       = { for key, grant in local.object_writers : key => { who = grant.who, bucket = grant.bucket, role = grant.role, when = grant.when } }
}

output "workload_identity_provider" {
  description = "For google-github-actions/auth; empty without GitHub."
  value       = local.github ? google_iam_workload_identity_pool_provider.github[0].name : ""
}
