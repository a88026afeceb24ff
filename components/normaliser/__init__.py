"""The normaliser: Transform sums histograms per plate and keeps a table in its graph."""
