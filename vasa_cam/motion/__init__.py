"""Motion: what the face does, as numbers. Knows nothing of pictures."""
