"""Ditto's motion generator: a voice becomes motion in LivePortrait's space, clip by clip.

`denoiser` is the network, `diffusion` draws a clip with it, `condition` puts together what it is
told, `clips` joins clips, `driving` moves a source by its rules, `hearing` runs the user's speech
encoder, `checkpoint` reads the public file, `stream` is the whole. `denoiser`, `diffusion` and
`stream` import torch.
"""
