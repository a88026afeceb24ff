# A network without public addresses: workers reach Google's services through Private Google Access
# and nothing else.

resource "google_compute_network" "this" {
  count = var.network.create ? 1 : 0

  name                    = local.name
  description             = "Dataflow workers and training jobs of Platewise"
  auto_create_subnetworks = false
  depends_on              = [google_project_service.this]
}

resource "google_compute_subnetwork" "this" {
  count = var.network.create ? 1 : 0

  name                     = local.name
  network                  = google_compute_network.this[0].id
  region                   = var.region
  ip_cidr_range            = var.network.cidr
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.1
  }
}

# Dataflow gives its workers the tag "dataflow"; they shuffle through these two ports.
resource "google_compute_firewall" "dataflow" {
  count = var.network.create ? 1 : 0

  name        = "${local.name}-dataflow"
  description = "Dataflow workers among themselves"
  network     = google_compute_network.this[0].id
  direction   = "INGRESS"
  source_tags = ["dataflow"]
  target_tags = ["dataflow"]

  allow {
    protocol = "tcp"
    ports    = ["12345-12346"]
  }
}

resource "google_compute_subnetwork_iam_member" "workers" {
  for_each = var.network.create ? {
    pipeline = google_service_account.pipeline.member
    dataflow = google_service_account.dataflow.member
  } : {}

  subnetwork = google_compute_subnetwork.this[0].name
  region     = var.region
  role       = "roles/compute.networkUser"
  member     = each.value
}

resource "google_compute_global_address" "services" {
  count = var.network.create && var.network.service_access ? 1 : 0

  name          = "${local.name}-services"
  description   = "Range that Vertex AI takes addresses of training jobs from"
  network       = google_compute_network.this[0].id
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  prefix_length = 16
}

resource "google_service_networking_connection" "services" {
  count = var.network.create && var.network.service_access ? 1 : 0

  network                 = google_compute_network.this[0].id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.services[0].name]
}
