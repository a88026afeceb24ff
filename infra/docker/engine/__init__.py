"""Builds an image's root file system from its Dockerfile where there is no container engine."""
