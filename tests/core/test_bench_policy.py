"""The benchmark of the policy step: it compares with eager PyTorch what it times."""

from __future__ import annotations

import sys

import pytest


def test_both_policies_act_alike(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # the benchmark sets them when it is imported
    import bench_policy

    monkeypatch.setattr(bench_policy, "ROUNDS", 1)
    monkeypatch.setattr(sys, "argv", ["bench_policy.py"])
    threads = torch.get_num_threads()
    try:
        bench_policy.main()
    finally:
        torch.set_num_threads(threads)
    assert "times as fast" in capsys.readouterr().out
