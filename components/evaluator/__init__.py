"""The Evaluator: metrics sliced by experiment and the rest, thresholds, a blessing."""
