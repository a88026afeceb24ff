"""Records how a managed pipeline ended, failures above all."""
