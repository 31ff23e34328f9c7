"""Public checkpoints: read without running anything in them, checked key by key, kept once.

`reading` opens a file, `architecture` knows what it should hold, `report` says how the two differ,
`recognise` tells what a file is, `convert` makes what the networks load, `registry` keeps it. No
module here imports torch.
"""
