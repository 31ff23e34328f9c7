"""Ditto's motion generator: a voice becomes motion in LivePortrait's space, clip by clip.

`denoiser` is the network, `diffusion` draws a clip with it, `condition` puts together what it is
told, `hearing` runs the user's speech encoder, `generator` is all of a checkpoint, `clips` joins
clips, `driving` moves a source by its rules, `stream` is the whole. `denoiser`, `diffusion`,
`generator` and `stream` import torch.
"""
