"""JoyVASA's motion generator: a voice becomes motion in LivePortrait's space.

`denoiser` is the network, `diffusion` draws a window with it, `hearing` turns sound into its
features, `checkpoint` reads the public files, `stream` joins windows. Everything but `checkpoint`
and `fused`, which is the network on the core's sampler, imports torch; `hearing` also transformers.
"""
