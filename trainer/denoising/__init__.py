"""Training a denoiser on images alone: no plates, no labels, any number of channels.

``pool.py``  patches from a folder of images, from textures, from simulated fields
``fit.py``   noise, step, loop, checkpoints
``saved.py`` the folder a denoiser is kept in
"""
