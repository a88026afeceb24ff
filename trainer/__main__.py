"""Train on a machine without TFX: ``python -m trainer --help``."""

from __future__ import annotations

import sys

from trainer.command import main

if __name__ == "__main__":
    sys.exit(main())
