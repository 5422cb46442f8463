"""Graph to graph, one pass a file; each says what it changed."""
