"""The same work by other engines: what an engineer would otherwise use."""
