"""Inference: batches on the device and the generators."""
