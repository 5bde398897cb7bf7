"""The model of the knowledge space: a Dirichlet process mixture of diagonal Gaussians, and its evidence bound.

Stick-breaking weights with v_k ~ Beta(1, gamma0); for each component and dimension a Normal-Wishart (here
Normal-Gamma) prior on mean and precision, parameterised as in bnpy's DiagGauss. The posterior and the bound depend
on the latents only through sums over the rows [1, z^2, z], so whatever moves rows between components moves sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi

import numpy as np
from scipy.special import digamma, gammaln

from legion_core.spaces import Vector

MEAN_CERTAINTY = 1e-4
"""How many latents the prior mean is worth: bnpy's default."""


def features(latents: Vector) -> Vector:
    """[1, z^2, z] for latents (N, D): shape (N, 1 + 2 D)."""
    return np.hstack((np.ones((len(latents), 1)), latents * latents, latents))


@dataclass(frozen=True)
class Posterior:
    """The variational factors of K components, biggest first.

    `on`, `off` (K,): Beta parameters of the stick-breaking; `nu`, `kappa` (K,), `mean`, `beta` (K, D): Normal-Gamma
    parameters, with E[precision] = nu / beta.
    """

    on: Vector
    off: Vector
    nu: Vector
    kappa: Vector
    mean: Vector
    beta: Vector

    def arrays(self) -> dict[str, Vector]:
        """Its fields by name."""
        return dict(vars(self))

    def shifted(self, by: Vector) -> Posterior:
        """The same posterior in coordinates moved by `by` (D,)."""
        return Posterior(self.on, self.off, self.nu, self.kappa, self.mean + by, self.beta)

    def weights(self) -> Vector:
        """Expected share of each component (K,), summing to 1."""
        share = self.on / (self.on + self.off)
        share[1:] *= np.cumprod(1 - share[:-1])
        return np.asarray(share / share.sum())

    def variances(self) -> Vector:
        """Expected variances (K, D)."""
        return np.asarray(self.beta / (self.nu - 2)[:, None])

    def scores(self) -> Vector:
        """Rows W (K, 1 + 2 D) with W @ [1, z^2, z] = E[log w_k N(z; mean_k, 1 / precision_k)]."""
        both = digamma(self.on + self.off)
        log_weight = digamma(self.on) - both
        log_weight[1:] += np.cumsum(digamma(self.off) - both)[:-1]
        size = self.mean.shape[1]
        precision = self.nu[:, None] / self.beta
        log_precision = size * (digamma(self.nu / 2) + log(2)) - np.log(self.beta).sum(axis=1)
        constant = 0.5 * (
            log_precision - size * (log(2 * pi) + 1 / self.kappa) - (precision * self.mean**2).sum(axis=1)
        )
        return np.hstack(((log_weight + constant)[:, None], -0.5 * precision, precision * self.mean))


@dataclass(frozen=True)
class Prior:
    """Concentration gamma0 of the weights; mean (D,) and expected variance `scale` of the Gaussians."""

    concentration: float
    scale: float
    mean: Vector

    @property
    def _nu(self) -> float:
        return float(len(self.mean) + 2)

    @property
    def _beta(self) -> float:
        return self.scale * (self._nu - 2)

    def posterior(self, sums: Vector) -> Posterior:
        """The best factors for sums (K, 1 + 2 D) of the rows [1, z^2, z], components sorted by falling size."""
        counts = sums[:, 0]
        after = counts[::-1].cumsum()[::-1] - counts
        return Posterior(1 + counts, self.concentration + np.maximum(after, 0), *self._gaussians(sums))

    def _gaussians(self, sums: Vector) -> tuple[Vector, Vector, Vector, Vector]:
        """nu, kappa (...,), mean and beta (..., D) for sums (..., 1 + 2 D)."""
        size = len(self.mean)
        counts, squares, total = sums[..., 0], sums[..., 1 : 1 + size], sums[..., 1 + size :]
        kappa = MEAN_CERTAINTY + counts
        mean = (MEAN_CERTAINTY * self.mean + total) / kappa[..., None]
        scatter = squares + MEAN_CERTAINTY * self.mean**2 - kappa[..., None] * mean**2
        # Never negative but for rounding.
        return self._nu + counts, kappa, mean, self._beta + np.maximum(scatter, 0)

    def data_bound(self, sums: Vector) -> Vector:
        """E[log p(z, parameters) - log q(parameters)] of each component's Gaussian, for sums (..., 1 + 2 D): (...)."""
        nu, kappa, _, beta = self._gaussians(sums)
        size = len(self.mean)
        prior = _cumulant(np.array(self._nu), np.array(MEAN_CERTAINTY), np.full(size, self._beta))
        return np.asarray(prior - _cumulant(nu, kappa, beta) - 0.5 * size * log(2 * pi) * sums[..., 0])

    def weight_bound(self, counts: Vector) -> Vector:
        """E[log p(assignments, weights) - log q(weights)] for component sizes (..., K), the biggest first: (...).

        An empty component changes nothing.
        """
        counts = -np.sort(-counts, axis=-1)
        after = np.flip(np.flip(counts, -1).cumsum(axis=-1), -1) - counts
        on, off = 1 + counts, self.concentration + np.maximum(after, 0)
        each = log(self.concentration) - gammaln(on + off) + gammaln(on) + gammaln(off)
        return np.asarray(each.sum(axis=-1))

    def bound(self, sums: Vector, entropy: float) -> float:
        """The evidence bound for sums (K, 1 + 2 D) and the entropy of the assignments, at the best factors."""
        return float(self.data_bound(sums).sum() + self.weight_bound(sums[:, 0])) + entropy


def _cumulant(nu: Vector, kappa: Vector, beta: Vector) -> Vector:
    """Log-normaliser of the Normal-Gamma factors, summed over the dimensions; the terms that always cancel left out."""
    size = beta.shape[-1]
    each = -0.5 * log(2) * nu - gammaln(nu / 2) + 0.5 * np.log(kappa)
    return np.asarray(size * each + 0.5 * nu * np.log(beta).sum(axis=-1))
