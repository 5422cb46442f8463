"""What is known of a graph before anything runs: dataflow, element types, shapes, bytes on the wire."""
