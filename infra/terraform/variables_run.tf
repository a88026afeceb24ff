# What starts pipelines: CI, a schedule, new plates; and what they may cost.

variable "github" {
  description = "Repository (OWNER/NAME) whose workflows may act as the CI account, its number (which a renamed or re-created repository does not inherit), and the only git ref they may do so from: a branch, or every tag below a prefix that ends in *."
  type = object({
    repository    = optional(string, "")
    repository_id = optional(string, "")
    ref           = optional(string, "refs/heads/main")
  })
  default = {}
}

variable "cloud_build" {
  description = "Cloud Build connection's repository (projects/P/locations/R/connections/C/repositories/N), if Cloud Build is used instead of GitHub Actions; and the branch or tag pattern that starts the release."
  type = object({
    repository = optional(string, "")
    branch     = optional(string, "")
    tag        = optional(string, "")
    config     = optional(string, "infra/cloudbuild/release.yaml")
    # Further substitutions of that file: _PYTHON, _DOCKER, ...
    substitutions = optional(map(string), {})
  })
  default = {}
}

variable "ci_runs_pipelines" {
  description = "Let CI submit pipelines here: true where releases are tried out, false in prod."
  type        = bool
  default     = false
}

variable "schedule" {
  description = "Training on a schedule by Cloud Scheduler: a template in the registry, such as platewise-training/latest, a cron expression and runtime parameters. Null: none (platewise schedule makes one of Vertex AI's own)."
  type = object({
    template   = string
    cron       = string
    time_zone  = optional(string, "Etc/UTC")
    parameters = optional(map(string), {})
    paused     = optional(bool, false)
  })
  default = null
}

variable "scoring" {
  description = "Start scoring when a plate is complete: image of infra/trigger by digest, prefix that plates land under, template of the scoring pipeline, its runtime parameters, and how a plate's files are named. Null: no trigger."
  type = object({
    image         = string
    prefix        = optional(string, "incoming/")
    template      = string
    parameters    = optional(map(string), {})
    table         = optional(string, "metadata.csv")
    path_template = optional(string, "images/{experiment}/Plate{plate}/{well}_s{site}_w{channel}.png")
    channels      = optional(list(string), ["1", "2", "3", "4", "5", "6"])
    sites         = optional(list(number), [1, 2])
    columns       = optional(map(string), {})
  })
  default = null
  validation {
    condition     = var.scoring == null ? true : strcontains(var.scoring.image, "@sha256:")
    error_message = "scoring.image must be pinned by digest: REGION-docker.pkg.dev/P/R/trigger@sha256:..."
  }
}

variable "budget" {
  description = "Monthly budget that warns (it stops nothing): billing account, amount in whole units of the account's currency, e-mail addresses. Empty billing account: none."
  type = object({
    billing_account = optional(string, "")
    amount          = optional(number, 500)
    currency        = optional(string, "USD")
    emails          = optional(list(string), [])
  })
  default = {}
}
