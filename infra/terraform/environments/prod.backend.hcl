# bucket = "PROJECT-terraform-state": given on the command line, for it differs by project.
prefix = "platewise/prod"
