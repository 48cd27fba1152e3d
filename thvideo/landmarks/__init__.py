"""Landmarks ``[T, 70, 2]``: tracking, smoothing, adaptation and drawing."""
