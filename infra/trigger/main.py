"""Entry point for the functions framework: ``functions-framework --target=on_object``."""

from plate_trigger.handler import on_object

__all__ = ["on_object"]
