"""ONNX files in and out: read without their weights, checked, hashed, written the same each time."""
