"""Schemas of everything that is said and stored, generated from the Structs in `cca.contracts`."""
