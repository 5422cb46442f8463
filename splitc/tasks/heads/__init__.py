"""Detection heads: how the outputs of a detector become boxes in input pixels."""
