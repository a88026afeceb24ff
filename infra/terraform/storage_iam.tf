# Who may read and write which objects. A step loads what an earlier step wrote, a graph or weights
# or pickled state, and so whoever can write an artifact can run code as its reader: the table of
# writers is the trust boundary.

locals {
  buckets = {
    screens   = google_storage_bucket.screens.name
    artifacts = google_storage_bucket.artifacts.name
    models    = google_storage_bucket.models.name
    temp      = google_storage_bucket.temp.name
  }
  objects = { for key, bucket in local.buckets : key => "projects/_/buckets/${bucket}/objects/" }

  # Steps whose files Beam workers write; below them lie their temporary files too.
  beam_steps = ["PlateExampleGen", "PlateTransform", "PlateEvaluator"]

  under_pipelines   = "resource.name.startsWith('${local.objects.artifacts}${local.pipelines_prefix}')"
  under_checkpoints = "resource.name.startsWith('${local.objects.artifacts}${local.checkpoints_prefix}')"
  under_models      = "resource.name.startsWith('${local.objects.models}${local.models_prefix}')"
  under_triggers    = "resource.name.startsWith('${local.objects.artifacts}${local.triggers_prefix}')"
  of_training       = "resource.name.extract('/PlateTrainingJob_{task}/') != ''"
  of_beam_steps     = join(" || ", [for step in local.beam_steps : "resource.name.extract('/${step}_{task}/') != ''"])

  account_writers = {
    pipeline_artifacts = {
      who  = google_service_account.pipeline.member, bucket = local.buckets.artifacts, role = "roles/storage.objectUser"
      when = "${local.under_pipelines} && !${local.under_checkpoints}"
      why  = "Steps write their outputs, but no checkpoints"
    }
    # objectCreator can add objects, not replace them: a pushed version stays what was blessed.
    pipeline_models = {
      who  = google_service_account.pipeline.member, bucket = local.buckets.models, role = "roles/storage.objectCreator"
      when = local.under_models
      why  = "The pusher adds versions and cannot change one"
    }
    pipeline_temp = {
      who  = google_service_account.pipeline.member, bucket = local.buckets.temp, role = "roles/storage.objectUser"
      when = ""
      why  = "Temporary files"
    }
    trainer_artifacts = {
      who  = google_service_account.trainer.member, bucket = local.buckets.artifacts, role = "roles/storage.objectUser"
      when = "${local.under_checkpoints} || (${local.under_pipelines} && ${local.of_training})"
      why  = "Checkpoints, weights and curves"
    }
    dataflow_artifacts = {
      who  = google_service_account.dataflow.member, bucket = local.buckets.artifacts, role = "roles/storage.objectUser"
      when = "${local.under_pipelines} && !${local.under_checkpoints} && (${local.of_beam_steps})"
      why  = "Examples, the Transform graph and evaluations"
    }
    dataflow_temp = {
      who  = google_service_account.dataflow.member, bucket = local.buckets.temp, role = "roles/storage.objectUser"
      when = ""
      why  = "Temporary files"
    }
    trigger_markers = {
      who  = google_service_account.trigger.member, bucket = local.buckets.artifacts, role = "roles/storage.objectCreator"
      when = local.under_triggers
      why  = "Remembers which plates were started"
    }
  }

  object_writers = merge(
    local.account_writers,
    {
      for who in var.screen_writers : "${who}_screens" => {
        who  = who, bucket = local.buckets.screens, role = "roles/storage.objectCreator"
        when = ""
        why  = "Adds plates and cannot change one"
      }
    },
  )

  account_readers = {
    pipeline_screens   = { who = google_service_account.pipeline.member, bucket = local.buckets.screens, role = "roles/storage.objectViewer" }
    pipeline_artifacts = { who = google_service_account.pipeline.member, bucket = local.buckets.artifacts, role = "roles/storage.objectViewer" }
    pipeline_models    = { who = google_service_account.pipeline.member, bucket = local.buckets.models, role = "roles/storage.objectViewer" }
    trainer_artifacts  = { who = google_service_account.trainer.member, bucket = local.buckets.artifacts, role = "roles/storage.objectViewer" }
    dataflow_screens   = { who = google_service_account.dataflow.member, bucket = local.buckets.screens, role = "roles/storage.objectViewer" }
    dataflow_artifacts = { who = google_service_account.dataflow.member, bucket = local.buckets.artifacts, role = "roles/storage.objectViewer" }
    trigger_screens    = { who = google_service_account.trigger.member, bucket = local.buckets.screens, role = "roles/storage.objectViewer" }
    trigger_artifacts  = { who = google_service_account.trigger.member, bucket = local.buckets.artifacts, role = "roles/storage.objectViewer" }
    ci_artifacts       = { who = google_service_account.ci.member, bucket = local.buckets.artifacts, role = "roles/storage.objectViewer" }

    # Clients of Beam and Vertex AI look the bucket itself up before they write into it.
    pipeline_artifacts_bucket = { who = google_service_account.pipeline.member, bucket = local.buckets.artifacts, role = "roles/storage.legacyBucketReader" }
    pipeline_temp_bucket      = { who = google_service_account.pipeline.member, bucket = local.buckets.temp, role = "roles/storage.legacyBucketReader" }
    trainer_artifacts_bucket  = { who = google_service_account.trainer.member, bucket = local.buckets.artifacts, role = "roles/storage.legacyBucketReader" }
    dataflow_artifacts_bucket = { who = google_service_account.dataflow.member, bucket = local.buckets.artifacts, role = "roles/storage.legacyBucketReader" }
    dataflow_temp_bucket      = { who = google_service_account.dataflow.member, bucket = local.buckets.temp, role = "roles/storage.legacyBucketReader" }
  }

  object_readers = merge(
    local.account_readers,
    {
      for bucket in var.extra_screen_buckets :
      "pipeline_${bucket}" => { who = google_service_account.pipeline.member, bucket = bucket, role = "roles/storage.objectViewer" }
    },
    {
      for bucket in var.extra_screen_buckets :
      "dataflow_${bucket}" => { who = google_service_account.dataflow.member, bucket = bucket, role = "roles/storage.objectViewer" }
    },
    {
      for pair in setproduct(var.operators, ["screens", "artifacts", "models"]) :
      "${pair[0]}_${pair[1]}" => { who = pair[0], bucket = local.buckets[pair[1]], role = "roles/storage.objectViewer" }
    },
  )
}

resource "google_storage_bucket_iam_member" "writer" {
  for_each = local.object_writers

  bucket = each.value.bucket
  role   = each.value.role
  member = each.value.who

  dynamic "condition" {
    for_each = each.value.when == "" ? [] : [each.value]
    content {
      title       = each.key
      description = condition.value.why
      expression  = condition.value.when
    }
  }
}

resource "google_storage_bucket_iam_member" "reader" {
  for_each = local.object_readers

  bucket = each.value.bucket
  role   = each.value.role
  member = each.value.who
}

# A new bucket lets the project's editors write objects: default service accounts among them, where
# the organisation still makes those editors. Of the owners that it names, only the project's stay.
resource "google_storage_bucket_iam_binding" "owners" {
  for_each = {
    for pair in setproduct(keys(local.buckets), ["legacyBucketOwner", "legacyObjectOwner"]) :
    "${pair[0]}_${pair[1]}" => { bucket = local.buckets[pair[0]], role = "roles/storage.${pair[1]}" }
  }

  bucket  = each.value.bucket
  role    = each.value.role
  members = ["projectOwner:${var.project}"]
}
