"""Reads every plate once with a trained model and writes small prediction rows."""
