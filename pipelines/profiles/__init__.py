"""Tables of well profiles, ours or anybody's: reading them, and showing their metrics."""
