"""Starts scoring once for each plate that has landed completely; see README.md beside this."""
