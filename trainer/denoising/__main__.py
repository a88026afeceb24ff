"""Entry: ``python -m trainer.denoising``."""

from trainer.denoising.command import main

if __name__ == "__main__":
    raise SystemExit(main())
