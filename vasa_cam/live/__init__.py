"""The live daemon: a voice in, frames and the delayed voice out, on one clock."""
