"""`legion import`: a policy bundle from the files that LEGION's authors published."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("output", help="new folder for the bundle")
    parser.add_argument("--folder", type=Path, help="where the files are that are not named below")
    parser.add_argument("--actor", type=Path, metavar="FILE", help="actor_*.pt")
    parser.add_argument("--encoder", type=Path, metavar="FILE", help="vae_*.pt or encoder_*.pt")
    parser.add_argument("--task-encoder", type=Path, metavar="FILE", help="task_encoder_*.pt")
    parser.add_argument("--embeddings", type=Path, metavar="FILE", help="*.json, task name to embedding")
    parser.add_argument("--latents", type=Path, metavar="FILE", help="latent_*.npz, latents and their mixture")


def run(options: argparse.Namespace) -> int:
    """0 when the bundle is saved."""
    from legion_core.importer import import_published
    from legion_core.published import PATTERNS, PublishedFiles

    files = PublishedFiles.find(options.folder, **{part: getattr(options, part) for part in PATTERNS})
    bundle = import_published(files)
    bundle.save(options.output)
    sizes = f"{bundle.spec.size} observation fields, {bundle.manifest.embedding.size} numbers an embedding"
    print(f"{len(bundle.task_names)} tasks, {len(bundle.knowledge.tasks)} components, {sizes}")
    print(f"saved {options.output}")
    return 0
