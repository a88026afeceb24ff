"""Makes a model of trained weights: what remains to be done where training ran elsewhere."""
