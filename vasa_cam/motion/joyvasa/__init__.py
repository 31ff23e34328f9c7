"""JoyVASA's motion generator: a voice becomes motion in LivePortrait's space.

`denoiser` is the network, `diffusion` draws a window with it, `hearing` turns sound into its
features, `template` scales its numbers, `generator` is all of a checkpoint, `stream` joins windows.
Everything but `template` imports torch, `hearing` also transformers.
"""
