"""Routing that is learned: versions of the policy are made from the log, explained, made again and compared."""

import os

# Before numpy is imported. Matrices are small here: threads of the linear algebra would cost more than they bring, and
# two of them may round otherwise than one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
