"""Training of the shipped motion models (extra `train`: torch). Nothing in the package imports it."""
