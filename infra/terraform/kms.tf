# A key of one's own. Destroying it destroys every artifact that it encrypts: a key ring stays for
# ever and a key version can be brought back for 30 days.

data "google_storage_project_service_account" "this" {
  project = var.project
}

resource "google_kms_key_ring" "this" {
  count = var.customer_managed_key ? 1 : 0

  name       = local.name
  location   = var.region
  depends_on = [google_project_service.this]
}

resource "google_kms_crypto_key" "this" {
  count = var.customer_managed_key ? 1 : 0

  name                       = "artifacts"
  key_ring                   = google_kms_key_ring.this[0].id
  purpose                    = "ENCRYPT_DECRYPT"
  rotation_period            = "${90 * 24 * 3600}s"
  destroy_scheduled_duration = "${30 * 24 * 3600}s"
}

locals {
  number = data.google_project.this.number
  # The services encrypt as their own agents, which exist once a service was first used.
  key_users = {
    storage       = data.google_storage_project_service_account.this.member
    vertex        = "serviceAccount:service-${local.number}@gcp-sa-aiplatform.iam.gserviceaccount.com"
    custom_code   = "serviceAccount:service-${local.number}@gcp-sa-aiplatform-cc.iam.gserviceaccount.com"
    registry      = "serviceAccount:service-${local.number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
    dataflow      = "serviceAccount:service-${local.number}@dataflow-service-producer-prod.iam.gserviceaccount.com"
    compute       = "serviceAccount:service-${local.number}@compute-system.iam.gserviceaccount.com"
    dataflow_self = google_service_account.dataflow.member
  }
}

resource "google_kms_crypto_key_iam_member" "agents" {
  for_each = var.customer_managed_key ? local.key_users : {}

  crypto_key_id = google_kms_crypto_key.this[0].id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = each.value
}
