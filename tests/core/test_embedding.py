"""The packaged sentence encoder, and what is said where it is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from legion_core import embedding
from legion_core.embedding import InstructionEncoder
from legion_core.errors import ConfigurationError


def test_minilm_gives_unit_vectors_of_384(encoder: InstructionEncoder) -> None:
    vectors = encoder.encode(["open the window", "close the drawer"])
    assert (encoder.name, encoder.size) == ("all-MiniLM-L6-v2", 384)
    assert vectors.shape == (2, 384) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_meaning_is_near(encoder: InstructionEncoder) -> None:
    near, same, far = encoder.encode(["open the window", "slide the window open", "what time is it"])
    assert near @ same > 0.6 > 0.3 > near @ far


def test_case_spaces_and_full_stop_do_not_matter(encoder: InstructionEncoder) -> None:
    plain, written = encoder.encode(["open the window", "  Open the   WINDOW. "])
    np.testing.assert_allclose(plain, written, atol=1e-6)


def test_no_sentences_no_vectors(encoder: InstructionEncoder) -> None:
    assert encoder.encode([]).shape == (0, 384)


def test_a_missing_model_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "MODEL_PACKAGE", "no_such_model_package")
    with pytest.raises(ConfigurationError, match=r"no_such_model_package is missing.*pip install"):
        InstructionEncoder()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(embedding.MODEL_PACKAGE)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigurationError, match=r"sentence-transformers is missing.*pip install"):
        InstructionEncoder()


def test_a_folder_without_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no sentence-transformers model"):
        InstructionEncoder(tmp_path)


def test_a_broken_model_is_one_error(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    (tmp_path / "modules.json").write_text("[{")
    with pytest.raises(ConfigurationError, match="cannot load the language model"):
        InstructionEncoder(tmp_path)
