"""The report: sections, their values, and how they are rendered."""
