"""The science of Platewise: data, noise, models, training, metrics and simulation.

Imports neither TFX nor any Google Cloud client, so that it runs as ``python -m
trainer`` on a TPU worker that has only TensorFlow and Keras.
"""
