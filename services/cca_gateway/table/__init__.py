"""The route table, a module for each area; `cca_gateway.routes` puts them together."""
