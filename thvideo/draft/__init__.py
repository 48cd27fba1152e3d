"""The geometric draft: a source crop moved by a spline, lids and lips in layers of their own."""
