"""Renderers: an avatar and motion frames become pictures. Knows nothing of sound."""
