"""Two graphs of one model, and one of two; and the proof that they are the same computation."""
