"""A version's ONNX file as what it is asked for: here, behind MLflow's pyfunc, and several together."""
