"""Pipeline definitions, configuration, the local runner and the command line."""
