"""The public Python API, which `goemo_report` offers by name."""
