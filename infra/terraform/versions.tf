terraform {
  # 1.8 is the first OpenTofu that can mock a provider in tests; Terraform has done so since 1.7.
  required_version = ">= 1.8, < 2.0"

  required_providers {
    google = {
      source = "hashicorp/google"
      # The arguments used here were checked against the schema of 6.50.0 (see standin/).
      version = "~> 6.50"
    }
  }

  # Where state lies differs by environment: -backend-config=environments/ENV.backend.hcl
  backend "gcs" {}
}

provider "google" {
  project = var.project
  region  = var.region

  # The budget API bills the caller's project; without these it answers 403.
  user_project_override = true
  billing_project       = var.project

  default_labels = local.labels
}
