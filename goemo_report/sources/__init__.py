"""Where runs come from: the W&B API or offline run logs."""
