# The environment that releases are tried out in.
environment       = "dev"
ci_runs_pipelines = true
temp_days         = 3
noncurrent_days   = 7

# github  = { repository = "OWNER/NAME", repository_id = "123456789", ref = "refs/heads/main" }
# budget  = { billing_account = "000000-000000-000000", amount = 300, emails = ["you@example.com"] }
# network = { create = true }
# promoters = ["serviceAccount:platewise-prod-ci@PROD_PROJECT.iam.gserviceaccount.com"]
