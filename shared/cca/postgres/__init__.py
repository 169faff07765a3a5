"""The only modules that import asyncpg."""
