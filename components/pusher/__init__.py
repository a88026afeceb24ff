"""Copies a blessed model into a folder of versions."""
