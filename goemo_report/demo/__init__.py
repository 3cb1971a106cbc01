"""The demonstration: small runs trained offline."""
