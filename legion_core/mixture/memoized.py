"""The own engine: memoized variational inference with births, merges and deletes, vectorised in NumPy.

Per batch it keeps the responsibilities and the sums of [1, z^2, z] over them; a lap visits the batches one by one
and replaces a batch's sums by fresh ones. A move only shifts sums between components, so its effect on the evidence
bound is known exactly without another pass, and every accepted move raises it. After Hughes and Sudderth, "Memoized
online variational inference for Dirichlet process mixture models" (NeurIPS 2013).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from legion_core.mixture.interface import Array, MixtureFit, MixtureSettings, Move, MoveKind, WarmStart, checked_latents
from legion_core.mixture.model import Posterior, Prior, features
from legion_core.spaces import Vector

Labels = npt.NDArray[np.intp]

MOST_LAPS = 50
"""Laps after which the responsibilities count as settled in any case."""
SETTLED = 0.05
"""Change of every component's size, in latents a lap, below which the responsibilities are settled."""
MOST_ROUNDS = 50
"""Rounds of births and merges a fit may take."""
TRIES = 2
"""How often a component of unchanged size must refuse to be split before it is left alone."""
PROPOSAL_ATOMS = 1000
"""Latents of a component on which a split is worked out; its gain is then measured on all of them."""
CUTS = 31
"""Places along an axis where a component may be cut in two."""
CUT_ATOMS = 300
"""Latents from which the best cut is judged; hard steps on more of them improve on it."""
REFINEMENTS = 4
"""Hard steps that improve a proposed split before its parts are merged again."""


class MemoizedEngine:
    """A `MixtureEngine` in NumPy."""

    def __init__(self, settings: MixtureSettings, seed: int) -> None:
        self._settings = settings
        self._seed = seed
        self._warm = WarmStart()

    def fit(self, latents: npt.ArrayLike) -> MixtureFit:
        """See `MixtureEngine.fit`."""
        z = checked_latents(latents, self._settings, self._warm)
        run = _Fit(z, self._settings, np.random.default_rng((self._seed, self._warm.fits)), self._warm.posterior)
        result, posterior = run.run()
        self._warm.advance(posterior)
        return result

    def state(self) -> dict[str, Array]:
        """See `MixtureEngine.state`."""
        return self._warm.arrays()

    def restore(self, state: Mapping[str, Array]) -> None:
        """See `MixtureEngine.restore`."""
        self._warm = WarmStart.from_arrays(state)


class _Fit:
    """One fit at work. Components are rows: responsibilities (K, N), sums (B, K, 1 + 2 D)."""

    def __init__(self, z: Vector, settings: MixtureSettings, rng: np.random.Generator, warm: Posterior | None) -> None:
        self._settings, self._rng = settings, rng
        # Around their mean the sums of squares lose no digits; the prior's mean, zero, moves along.
        self._centre = z.mean(axis=0)
        self._prior = Prior(settings.concentration, settings.scale, -self._centre)
        self._order = rng.permutation(len(z))
        self._rows = features(z[self._order] - self._centre)
        edges = np.linspace(0, len(z), settings.batches + 1).astype(int)
        self._batches = [slice(a, b) for a, b in pairwise(edges)]
        self._lap = 0
        self._history: list[Move] = []
        self._refused: dict[int, tuple[int, float]] = {}
        self._names: list[int] = [0]
        self._resp = np.ones((1, len(z)))
        self._sums = self._summed(self._resp)
        if warm is not None:
            self._names = list(range(len(warm.nu)))
            self._assign(warm.shifted(-self._centre).scores())

    def run(self) -> tuple[MixtureFit, Posterior]:
        """Alternate settling and moves until no move is accepted."""
        self._settle()
        for _ in range(MOST_ROUNDS):
            if not (self._births() | self._merges()):
                break
            self._settle()
        self._assign(self._scores())
        return self._result()

    # -- responsibilities ------------------------------------------------------------------------------------------
    def _summed(self, resp: Vector) -> Vector:
        return np.stack([resp[:, batch] @ self._rows[batch] for batch in self._batches])

    def _scores(self) -> Vector:
        """Score rows (K, 1 + 2 D) of the best factors for the present sums, in the order of the components."""
        return _scores(self._prior, self._sums.sum(axis=0))

    def _assign(self, scores: Vector) -> None:
        """Responsibilities and sums of all batches at once."""
        self._resp = _softmax(scores @ self._rows.T)
        self._sums = self._summed(self._resp)

    def _settle(self) -> None:
        """Laps over the batches until no component changes its size; components that have become empty go."""
        for _ in range(MOST_LAPS):
            before = self._sums[..., 0].sum(axis=0)
            for b, batch in enumerate(self._batches):
                rows = self._rows[batch]
                self._resp[:, batch] = _softmax(self._scores() @ rows.T)
                self._sums[b] = self._resp[:, batch] @ rows
            self._lap += 1
            counts = self._sums[..., 0].sum(axis=0)
            if counts.min() < min(1, counts.max()):
                self._delete(np.flatnonzero(counts < min(1, counts.max())))
            elif np.abs(counts - before).max() < SETTLED:
                break

    # -- moves -----------------------------------------------------------------------------------------------------
    def _note(self, kind: MoveKind) -> None:
        self._history.append(Move(kind, float(self._lap), len(self._names)))

    def _remove(self, k: int) -> None:
        self._resp = np.delete(self._resp, k, axis=0)
        self._sums = np.delete(self._sums, k, axis=1)
        del self._names[k]

    def _delete(self, empty: Labels) -> None:
        """Leave what little belongs to the empty components to the others."""
        for k in empty[::-1]:
            self._remove(int(k))
            self._note("delete")
        self._assign(self._scores())

    def _births(self) -> bool:
        """Try to split every component; whether one was."""
        born = False
        for name in tuple(self._names):
            k = self._names.index(name)
            size = float(self._sums[:, k, 0].sum())
            tries, when = self._refused.get(name, (0, 0.0))
            if abs(size - when) > self._settings.reactivation * size:
                tries = 0
            if tries >= TRIES or size < 2 * self._settings.minimum_atoms:
                continue
            starts = (self._seeded,) if tries else (self._seeded, self._cut)  # the cut is not drawn by lot
            if any(self._split(k, start) for start in starts):
                born = True
            else:
                self._refused[name] = (tries + 1, size)
        return born

    def _proposal(self, k: int, start: Callable[[Vector], Labels]) -> Vector | None:
        """Score rows (J, 1 + 2 D) of parts into which component k may fall, worked out on a sample of its latents.

        `start` labels the sample's rows; hard steps improve on it.
        """
        own = np.flatnonzero(self._resp[k] > 0.5)
        if len(own) < 2 * self._settings.minimum_atoms:
            return None
        sample = own if len(own) <= PROPOSAL_ATOMS else self._rng.choice(own, PROPOSAL_ATOMS, replace=False)
        rows, amplify = self._rows[sample], len(own) / len(sample)
        label = start(rows)
        for _ in range(REFINEMENTS):
            parts = self._big_enough(_hard_sums(label, rows)) * amplify
            if len(parts) < 2:
                return None
            label = (_scores(self._prior, parts) @ rows.T).argmax(axis=0)
        parts = self._merged(self._big_enough(_hard_sums(label, rows)) * amplify)
        if len(parts) < 2 or self._gain(k, rows.sum(axis=0) * amplify, parts) <= 0:
            return None
        return _scores(self._prior, parts)

    def _big_enough(self, sums: Vector) -> Vector:
        return sums[sums[:, 0] >= self._settings.minimum_atoms]

    def _seeded(self, rows: Vector) -> Labels:
        """The nearest of a few seeds for each row (n,), each seed drawn by its squared distance from those before."""
        z = rows[:, 1 + rows.shape[1] // 2 :]
        z = z / np.maximum(z.std(axis=0), 1e-6 * z.std() + 1e-300)
        nearest = np.full(len(z), np.inf)
        label = np.zeros(len(z), np.intp)
        seed = int(self._rng.integers(len(z)))
        for part in range(min(self._settings.fresh, len(z))):
            distance = ((z - z[seed]) ** 2).sum(axis=1)
            label[distance < nearest] = part
            nearest = np.minimum(distance, nearest)
            total = np.cumsum(nearest)
            seed = min(int(np.searchsorted(total, self._rng.random() * total[-1], side="right")), len(z) - 1)
        return label

    def _cut(self, rows: Vector) -> Labels:
        """The rows (n, 1 + 2 D) on either side of the cut across one axis that the data like best; all 0: none is good.

        Random seeds rarely find two parts that differ in one dimension of many.
        """
        size, few = rows.shape[1] // 2, rows[:CUT_ATOMS]
        cuts = np.unique(np.linspace(0, len(few), CUTS + 2).astype(np.intp))[:-1]
        orders = np.argsort(few[:, 1 + size :], axis=0, kind="stable").T
        # As if there were very many of them: the shape alone decides here, and the prior when all are counted.
        many = 1e6 / len(few)
        below = np.cumsum(np.add.reduceat(few[orders], cuts, axis=1), axis=1)[:, :-1] * many
        whole = few.sum(axis=0) * many
        above = whole - below
        share = xlogy(below[..., 0], below[..., 0]) + xlogy(above[..., 0], above[..., 0]) - xlogy(whole[0], whole[0])
        gain = self._prior.data_bound(below) + self._prior.data_bound(above) - self._prior.data_bound(whole) + share
        axis, cut = divmod(int(gain.argmax()), len(cuts) - 1)
        if gain[axis, cut] <= 0:
            return np.zeros(len(rows), np.intp)
        column = 1 + size + axis
        return np.asarray(rows[:, column] >= few[orders[axis][cuts[cut + 1]], column], np.intp)

    def _merged(self, sums: Vector) -> Vector:
        """Parts of a hard split (J, 1 + 2 D) after all merges of two that raise the bound."""
        while len(sums) > 1:
            gains = self._pair_gains(sums)
            gone: set[int] = set()
            # At once all pairs that raise it and have no part in common: they hardly change what the others gain.
            for pair in np.argsort(-gains, axis=None, kind="stable")[: np.count_nonzero(gains > 0)]:
                a, b = divmod(int(pair), len(gains))
                if not gone & {a, b}:
                    sums[a] += sums[b]
                    gone |= {a, b}
                    sums[b] = 0
            if not gone:
                break
            sums = sums[sums[:, 0] > 0]
        return sums

    def _pair_gains(self, sums: Vector) -> Vector:
        """What merging a with b > a does to the bound, but for the entropy: (K, K), -inf elsewhere."""
        bound = self._prior.data_bound(sums)
        a, b = np.triu_indices(len(sums), 1)
        counts = sums[:, 0]
        gains = np.full((len(sums), len(sums)), -np.inf)
        data = self._prior.data_bound(sums[a] + sums[b]) - bound[a] - bound[b]
        # Sharing a weight is worth less than log 2 a latent, and a little for each component that comes after.
        worthy = np.flatnonzero(data > -counts[a] - counts[b] - 5 * np.log(counts.sum()))
        merged = np.tile(counts, (len(worthy), 1))
        which = np.arange(len(worthy))
        merged[which, a[worthy]] += counts[b[worthy]]
        merged[which, b[worthy]] = 0
        weight = self._prior.weight_bound(merged) - self._prior.weight_bound(counts)
        gains[a[worthy], b[worthy]] = data[worthy] + weight
        return gains

    def _gain(self, k: int, whole: Vector, parts: Vector) -> float:
        """What replacing component k, of sums `whole`, by hard parts does to the bound; the entropy does not change."""
        counts = self._sums[..., 0].sum(axis=0)
        split = np.append(np.delete(counts, k), parts[:, 0])
        data = self._prior.data_bound(parts).sum() - self._prior.data_bound(whole)
        return float(data + self._prior.weight_bound(split) - self._prior.weight_bound(counts))

    def _split(self, k: int, start: Callable[[Vector], Labels]) -> bool:
        """Give component k's share of each latent to the part that explains it best, if that raises the bound."""
        scores = self._proposal(k, start)
        if scores is None:
            return False
        for _ in range(2):  # once to see which parts last, and once with these
            label = (scores @ self._rows.T).argmax(axis=0)
            resp = np.where(label == np.arange(len(scores))[:, None], self._resp[k], 0)
            sums = self._summed(resp)
            total = sums.sum(axis=0)
            parts = self._merged(self._big_enough(total))
            if len(parts) < 2:
                return False
            if len(parts) == len(scores):
                break
            scores = _scores(self._prior, parts)
        if total[:, 0].min() < self._settings.minimum_atoms or self._gain(k, self._sums[:, k].sum(axis=0), total) <= 0:
            return False
        self._resp = np.vstack((np.delete(self._resp, k, axis=0), resp))
        self._sums = np.concatenate((np.delete(self._sums, k, axis=1), sums), axis=1)
        first = max(self._names) + 1
        self._names[k : k + 1] = []
        self._names += range(first, first + len(scores))
        self._note("birth")
        return True

    def _merges(self) -> bool:
        """Merge pairs as long as that raises the bound; whether one was."""
        merged = False
        while len(self._names) > 1:
            gains = self._pair_gains(self._sums.sum(axis=0))
            for flat in np.argsort(-gains, axis=None, kind="stable"):
                a, b = divmod(int(flat), len(gains))
                if gains[a, b] <= 0:
                    return merged
                if gains[a, b] + self._entropy_gain(a, b) > 0:
                    break
            else:
                return merged
            self._resp[a] += self._resp[b]
            self._sums[:, a] += self._sums[:, b]
            self._remove(b)
            self._note("merge")
            merged = True
        return merged

    def _entropy_gain(self, a: int, b: int) -> float:
        """What merging a and b does to the entropy of the assignments: never more than 0."""
        ra, rb = self._resp[a], self._resp[b]
        return -float(np.sum(xlogy(ra + rb, ra + rb) - xlogy(ra, ra) - xlogy(rb, rb)))

    # -- result ----------------------------------------------------------------------------------------------------
    def _result(self) -> tuple[MixtureFit, Posterior]:
        sums = self._sums.sum(axis=0)
        order = _by_size(sums)
        posterior = self._prior.posterior(sums[order]).shifted(self._centre)
        assignment = np.empty(len(self._order), np.intp)
        assignment[self._order] = self._resp[order].argmax(axis=0)
        elbo = self._prior.bound(sums, -float(xlogy(self._resp, self._resp).sum()))
        fit = MixtureFit(
            "memoized",
            posterior.weights(),
            posterior.mean,
            posterior.variances(),
            assignment,
            elbo,
            tuple(self._history),
        )
        return fit, posterior


def _by_size(sums: Vector) -> npt.NDArray[np.intp]:
    return np.argsort(-sums[:, 0], kind="stable")


def _scores(prior: Prior, sums: Vector) -> Vector:
    """Score rows (K, 1 + 2 D) of the best factors for sums (K, 1 + 2 D) in any order."""
    order = _by_size(sums)
    result = np.empty_like(sums)
    result[order] = prior.posterior(sums[order]).scores()
    return result


def _softmax(logits: Vector) -> Vector:
    """Over the components (K, N), in place."""
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits


def _hard_sums(label: Labels, rows: Vector) -> Vector:
    """Sums (J, 1 + 2 D) of the rows with each label."""
    return np.asarray((label == np.arange(label.max() + 1)[:, None]).astype(np.float64) @ rows)
