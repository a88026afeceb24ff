"""Experiments that ship as files: arms x seeds, run and compared."""
