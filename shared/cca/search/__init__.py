"""Search by words and by meaning: terms of texts, their form in PostgreSQL, BM25, and how both become one score."""
