"""What surrounds the methods, outermost first: telemetry, errors, auth, admission,
streams."""
