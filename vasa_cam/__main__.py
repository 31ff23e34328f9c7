"""`python -m vasa_cam` is the same as the `vasa-cam` command."""

from __future__ import annotations

from vasa_cam.cli.app import main

if __name__ == "__main__":
    main()
