"""How values become text and files, and tables are read: no idea of runs or metrics."""
