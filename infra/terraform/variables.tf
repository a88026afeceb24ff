variable "project" {
  description = "Id of the Google Cloud project, which must exist and have billing."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project id has 6 to 30 lower-case letters, digits and hyphens."
  }
}

variable "environment" {
  description = "Name of the environment; part of every resource's name, so that two fit into one project."
  type        = string
  validation {
    condition     = contains(["dev", "prod"], var.environment)
    error_message = "The environment is dev or prod."
  }
}

variable "region" {
  description = "Region of everything. TPU v5e for training: us-west1, us-west4, us-central1, us-east1, us-east5, us-south1, europe-west4 or asia-southeast1 (by quota)."
  type        = string
  default     = "us-central1"
}

variable "labels" {
  description = "Labels of every resource, for the bill."
  type        = map(string)
  default     = {}
}

variable "operators" {
  description = "Who may submit, watch and cancel pipelines by hand and read what they wrote, such as group:screens@example.com."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for who in var.operators : can(regex("^(user|group|serviceAccount):", who))])
    error_message = "Each operator begins with user:, group: or serviceAccount:."
  }
}

variable "screen_writers" {
  description = "Who may add plates to the screens bucket: the microscope's upload account, for one. They can neither change nor delete what is there."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for who in var.screen_writers : can(regex("^(user|group|serviceAccount):", who))])
    error_message = "Each writer begins with user:, group: or serviceAccount:."
  }
}

variable "extra_screen_buckets" {
  description = "Names of existing buckets that hold screens; the pipeline may read them too."
  type        = list(string)
  default     = []
}

variable "promoters" {
  description = "CI accounts of later environments, which read images and templates here to promote them: serviceAccount:platewise-prod-ci@PROD.iam.gserviceaccount.com."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for who in var.promoters : can(regex("^serviceAccount:", who))])
    error_message = "Each promoter begins with serviceAccount:."
  }
}

variable "temp_days" {
  description = "Days after which temporary files are deleted. Longer than the longest Dataflow job."
  type        = number
  default     = 7
  validation {
    condition     = var.temp_days >= 2
    error_message = "A Dataflow job may run longer than a day: keep its files for two at least."
  }
}

variable "noncurrent_days" {
  description = "Days that an overwritten or deleted artifact or model can still be brought back."
  type        = number
  default     = 30
}

variable "force_destroy" {
  description = "Let destroy delete buckets with everything in them. Set it when tearing down, never before."
  type        = bool
  default     = false
}

variable "audit_writes" {
  description = "Log who wrote which object (Cloud Storage data access logs): artifacts are code that later steps load."
  type        = bool
  default     = true
}

variable "image_tag" {
  description = "Tag of the images that the rendered configuration names; the release workflow overrides it by digest."
  type        = string
  default     = "latest"
}

variable "tensorboard" {
  description = "Make a Vertex AI TensorBoard for the trainer's curves."
  type        = bool
  default     = true
}

variable "network" {
  description = "Network of the Dataflow workers: create makes a VPC without public addresses; service_access adds a private service connection, which training jobs can be peered with."
  type = object({
    create         = optional(bool, false)
    cidr           = optional(string, "10.20.0.0/20")
    service_access = optional(bool, false)
  })
  default = {}
}

variable "customer_managed_key" {
  description = "Encrypt buckets, images, pipelines and Dataflow with a key of one's own, rotated every 90 days."
  type        = bool
  default     = false
}
