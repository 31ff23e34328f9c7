"""Training of the shipped motion models (extra `train`: torch); the package never imports it."""
