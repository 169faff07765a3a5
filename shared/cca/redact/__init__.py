"""Secrets taken out of texts before they are kept."""
