"""Beam options that are the same wherever a pipeline runs its stages in its own process."""

from __future__ import annotations

#: Run in this process. The runner is named, because the default one first tries to download
#: another. The image is not used; without one of Beam's packaging options TFX packs itself up
#: anew for every component, 42 MB that stay behind in the temporary folder.
IN_PROCESS = ("--runner=FnApiRunner", "--sdk_container_image=unused")
