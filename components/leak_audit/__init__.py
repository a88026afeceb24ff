"""LeakAudit: what could let a score look better than what was learnt."""
