"""bnpy as a mixture engine: the package and the settings with which LEGION was published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from legion_core.mixture.bnpy_compat import load_bnpy
from legion_core.mixture.interface import Array, MixtureFit, MixtureSettings, Move, WarmStart, checked_latents
from legion_core.mixture.model import Posterior

ALLOCATION, OBSERVATION, ALGORITHM = "DPMixtureModel", "DiagGauss", "memoVB"


class BnpyEngine:
    """A `MixtureEngine` that leaves the work to bnpy.

    Raises:
        MixtureError: bnpy is not installed.
    """

    def __init__(self, settings: MixtureSettings, seed: int) -> None:
        self._bnpy = load_bnpy()
        self._settings = settings
        self._seed = seed
        self._warm = WarmStart()

    def fit(self, latents: npt.ArrayLike) -> MixtureFit:
        """See `MixtureEngine.fit`."""
        z = checked_latents(latents, self._settings, self._warm)
        data = self._bnpy.data.XData(z)
        # Every fit its own random numbers, the same in every process.
        seed = int(np.random.default_rng((self._seed, self._warm.fits)).integers(1_000_000))
        model, history = self._learn(data, seed)
        local = model.calc_local_params(data)
        sums = model.get_global_suff_stats(data, local, doPrecompEntropy=1)
        order = np.argsort(-sums.getCountVec(), kind="stable")
        sums.reorderComps(order)
        model.update_global_params(sums)
        scale = model.obsModel.getDatasetScale(sums)  # by which bnpy divides its bound
        elbo = float(model.calc_evidence(SS=sums, afterGlobalStep=True)) * float(scale)
        posterior = _posterior(model)
        self._warm.advance(posterior)
        assignment = local["resp"][:, order].argmax(axis=1)
        return MixtureFit("bnpy", posterior.weights(), posterior.mean, posterior.variances(), assignment, elbo, history)

    def state(self) -> dict[str, Array]:
        """See `MixtureEngine.state`."""
        return self._warm.arrays()

    def restore(self, state: Mapping[str, Array]) -> None:
        """See `MixtureEngine.restore`."""
        self._warm = WarmStart.from_arrays(state)

    def _learn(self, data: Any, seed: int) -> tuple[Any, tuple[Move, ...]]:
        """The model that bnpy finds, and how the number of its components changed.

        The steps of `bnpy.run`, without its log files and with the start taken from memory.
        """
        runner, names = self._bnpy.Runner, {"allocModelName": ALLOCATION, "obsModelName": OBSERVATION}
        request = {"dataName": data, "algName": ALGORITHM, **names}
        options, _ = self._bnpy.ioutil.BNPYArgParser.parseKeywordArgs(request, **self._options())
        options[ALGORITHM]["nLap"] = self._settings.laps
        model = runner.make_initialized_model(data, seed=seed, algName=ALGORITHM, KwArgs=options, **names)
        if self._warm.posterior is not None:
            _start_from(model, self._warm.posterior)
        batches = data.to_iterator(dataorderseed=seed, **options["OnlineDataPrefs"])
        learning = runner.createLearnAlg(batches, model, request, options, algseed=seed)
        log = _MoveLog()
        learning.outputParams["customFuncPath"] = log
        learning.fit(model, batches)
        return model, tuple(log.moves)

    def _options(self) -> dict[str, Any]:
        settings = self._settings
        return {
            **{"moves": "birth,merge", "K": 1, "initname": "randexamples"},
            **{"gamma0": settings.concentration, "ECovMat": "eye", "sF": settings.scale},
            **{"nBatch": settings.batches, "nLap": settings.laps},
            **{"b_startLap": 1, "b_stopLap": 2, "b_Kfresh": settings.fresh},
            "b_minNumAtomsForNewComp": float(settings.minimum_atoms),
            "b_minNumAtomsForTargetComp": float(settings.minimum_atoms),
            "b_minNumAtomsForRetainComp": float(settings.minimum_atoms),
            "b_minPercChangeInNumAtomsToReactivate": settings.reactivation,
            **{"m_startLap": 2, "m_maxNumPairsContainingComp": 50, "m_nLapToReactivate": 1},
            **{"m_pair_ranking_procedure": "obsmodel_elbo", "m_pair_ranking_direction": "descending"},
        }


@dataclass
class _MoveLog:
    """Called back by bnpy at the end; turns its move log into `Move`s."""

    moves: list[Move] = field(default_factory=list)

    def onAlgorithmComplete(self, MoveLog: Any = (), **_: Any) -> None:  # noqa: N802
        """bnpy's hook, by bnpy's name."""
        for lap, kind, _arguments, _before, after in MoveLog:
            if kind in ("birth", "merge", "delete"):
                self.moves.append(Move(kind, float(lap), len(after)))


def _start_from(model: Any, posterior: Posterior) -> None:
    """Give bnpy's model the factors of an earlier fit."""
    model.allocModel.set_global_params(K=len(posterior.on), eta1=posterior.on.copy(), eta0=posterior.off.copy())
    model.obsModel.setPostFactors(
        nu=posterior.nu.copy(), kappa=posterior.kappa.copy(), m=posterior.mean.copy(), beta=posterior.beta.copy()
    )


def _posterior(model: Any) -> Posterior:
    """The factors of bnpy's model."""
    weights, gaussians = model.allocModel, model.obsModel.Post
    return Posterior(
        *(
            np.array(factor, np.float64)
            for factor in (weights.eta1, weights.eta0, gaussians.nu, gaussians.kappa, gaussians.m, gaussians.beta)
        )
    )
