"""Benchmarks of every operation, network and pipeline: verified, then timed, against others.

A case (`case.py`) is verified against an independent reference before anything is timed
(`runner.py`), takes turns with its contenders (`timing.py`), and is set against what this machine
can do at most (`roofline.py`). `docs/benchmarks.md` says how to read the figures.
"""
