"""Uploads a blessed model to the Vertex Model Registry as a new version."""
