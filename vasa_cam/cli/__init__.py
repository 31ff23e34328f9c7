"""The `vasa-cam` command: one module per sub-command, registered in `app`."""
