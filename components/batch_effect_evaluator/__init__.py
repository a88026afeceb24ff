"""Batch against biology on the embeddings of wells, before and after each correction."""
