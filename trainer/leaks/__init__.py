"""The leak audit: what could let a score look better than what was learnt.

Pure functions over what is known of each site. Nothing here reads a file.
"""

from trainer.leaks.audit import Audit, AuditTest, audit_sites
from trainer.leaks.position import PositionScore, position_score
from trainer.leaks.shared import AuditSite, Shared, find_shared

__all__ = [
    "Audit",
    "AuditSite",
    "AuditTest",
    "PositionScore",
    "Shared",
    "audit_sites",
    "find_shared",
    "position_score",
]
