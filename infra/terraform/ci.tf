# CI without keys: GitHub signs who a workflow is, and Google takes its word for one repository and
# one kind of ref. Or Cloud Build, running as the same account.

locals {
  github    = var.github.repository != ""
  ref_rule  = endswith(var.github.ref, "*") ? "assertion.ref.startsWith('${trimsuffix(var.github.ref, "*")}')" : "assertion.ref == '${var.github.ref}'"
  id_rule   = var.github.repository_id == "" ? "" : " && assertion.repository_id == '${var.github.repository_id}'"
  repo_rule = "assertion.repository == '${var.github.repository}'"
}

resource "google_iam_workload_identity_pool" "github" {
  count = local.github ? 1 : 0

  workload_identity_pool_id = "${local.name}-github"
  display_name              = "${local.name} GitHub"
  description               = "Workflows of ${var.github.repository}"
  depends_on                = [google_project_service.this]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  count = local.github ? 1 : 0

  workload_identity_pool_id          = google_iam_workload_identity_pool.github[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub Actions"

  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
    "attribute.ref"        = "assertion.ref"
  }
  # Without it every workflow of every repository on GitHub could ask for a token.
  attribute_condition = "${local.repo_rule}${local.id_rule} && ${local.ref_rule}"

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "github" {
  count = local.github ? 1 : 0

  service_account_id = google_service_account.ci.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github[0].name}/attribute.repository/${var.github.repository}"
}

resource "google_cloudbuild_trigger" "release" {
  count = var.cloud_build.repository == "" ? 0 : 1

  name            = "${local.name}-release"
  description     = "Check, build, compile, push, try out, gate, promote"
  location        = var.region
  service_account = google_service_account.ci.id
  filename        = var.cloud_build.config

  repository_event_config {
    repository = var.cloud_build.repository
    push {
      branch = var.cloud_build.branch == "" ? null : var.cloud_build.branch
      tag    = var.cloud_build.tag == "" ? null : var.cloud_build.tag
    }
  }

  substitutions = merge({
    _IMAGES    = local.image_host
    _TEMPLATES = local.template_host
  }, var.cloud_build.substitutions)

  # Logs go to Cloud Logging: the build's account may write no bucket.
  include_build_logs = "INCLUDE_BUILD_LOGS_WITH_STATUS"
  depends_on         = [google_project_service.this]
}
