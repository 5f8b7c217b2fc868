"""Policies as files that are used without Paracosm: ONNX, NumPy and PyTorch.

`tracing` makes of a policy a `Program`, a list of a few kinds of operations; each of the formats
writes these operations in its own words.
"""
