"""Metrics: pure functions of arrays, each tested against an independent reference."""
