"""Trains on Examples and exports a model with the Transform graph attached."""
