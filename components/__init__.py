"""TFX components: artifacts in, artifacts out. Each adapts code of trainer/."""
