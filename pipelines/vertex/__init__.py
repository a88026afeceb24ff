"""Vertex AI: compile, submit, schedule, watch."""
