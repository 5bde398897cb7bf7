"""Fit the knowledge space: a Dirichlet process mixture finds by itself how many tasks its latents come from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture

from legion_core.knowledge import KnowledgeSpace, majority_tasks

MOST_COMPONENTS = 20
SMALLEST_SHARE = 0.01
"""Components with less than this share of the latents are noise."""


def fit_knowledge(latents: npt.ArrayLike, tasks: Sequence[str], seed: int) -> KnowledgeSpace:
    """The mixture of latents (N, D), each component named after the task of most of its latents.

    The tasks only name the components afterwards; they do not take part in the fit.
    """
    z = np.asarray(latents, np.float64)
    model = BayesianGaussianMixture(
        n_components=MOST_COMPONENTS,
        covariance_type="diag",
        weight_concentration_prior_type="dirichlet_process",
        weight_concentration_prior=1e-3,
        # Weakly informative: a component may be as narrow as a twentieth of all the latents' variance.
        covariance_prior=z.var(axis=0) / 20,
        init_params="k-means++",
        n_init=5,  # of which the best is kept: a single start may merge two tasks
        max_iter=500,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last iterations only move empty components
        assignment = model.fit_predict(z)
    shares = np.bincount(assignment, minlength=MOST_COMPONENTS) / len(z)
    kept = np.flatnonzero(shares > SMALLEST_SHARE)
    position = np.full(MOST_COMPONENTS, -1)
    position[kept] = np.arange(len(kept))
    inside = position[assignment] >= 0
    names = majority_tasks(position[assignment][inside], np.asarray(tasks)[inside].tolist(), len(kept))
    # Rounded to the precision in which a bundle stores them.
    return KnowledgeSpace(
        (shares[kept] / shares[kept].sum()).astype(np.float32),
        model.means_[kept].astype(np.float32),
        model.covariances_[kept].astype(np.float32),
        names,
    )
