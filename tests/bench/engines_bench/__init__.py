"""Parts of the engines benchmark."""
