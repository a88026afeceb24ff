"""Trains in a custom job of Vertex AI, in a container without TFX."""
