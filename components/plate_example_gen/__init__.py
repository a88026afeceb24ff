"""From a folder or bucket of plates to Examples, a quality artifact and a schema."""
