"""A version's ONNX file: preprocessing, sessions, predictions of a split, and its MLflow model."""
