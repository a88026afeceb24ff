# The environment that scores real plates. CI may push to it from a release tag alone, and never
# run a pipeline in it.
environment          = "prod"
ci_runs_pipelines    = false
customer_managed_key = false
network              = { create = true, service_access = false }

# github   = { repository = "OWNER/NAME", repository_id = "123456789", ref = "refs/tags/v*" }
# budget   = { billing_account = "000000-000000-000000", amount = 2000, emails = ["you@example.com"] }
# schedule = { template = "platewise-training/latest", cron = "0 3 * * 1" }
# scoring  = { template = "platewise-scoring/latest", image = "REGION-docker.pkg.dev/PROJECT/platewise-prod/trigger@sha256:..." }
