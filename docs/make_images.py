"""Pictures for the documentation: the shipped policy at work on the simulated arm, through the real bridge.

Run: python docs/make_images.py [FOLDER]     (needs offscreen OpenGL: libegl1 or libosmesa6)
"""

from __future__ import annotations

import sys
from pathlib import Path

import imageio.v3 as imageio
import numpy as np

from legion_core.bundle import PolicyBundle
from legion_core.mission import Mission, load_missions
from legion_core.mission_loop import run_mission
from legion_core.policy import LegionPolicy
from legion_core.sim import EVALUATION_SEED_BASE, make_env
from legion_core.sim.composite import load_scene
from legion_core.sim.plant import RobotPlant
from legion_core.tasks import task_names
from legion_sim2real.bridge import BridgeFactory

FRAMES, WIDTH, HEIGHT = 4, 480, 360


def episode_frames(task: str, bundle: PolicyBundle) -> list[np.ndarray]:
    """One picture a policy step of an episode up to success, on a layout that was never trained on."""
    env = make_env(task, actuation="servo", bridge=BridgeFactory(spec=bundle.spec), spec=bundle.spec)
    policy, embedding = LegionPolicy(bundle), bundle.embedding(task)
    observation, info = env.reset(seed=EVALUATION_SEED_BASE)
    frames, over = [], False
    while not (over or info["success"]):
        frames.append(env.unwrapped.plant.render(WIDTH, HEIGHT))
        observation, _, _, over, info = env.step(policy.act(observation, embedding).action)
    frames.append(env.unwrapped.plant.render(WIDTH, HEIGHT))
    env.close()
    return frames


def mission_frames(mission: Mission, bundle: PolicyBundle) -> list[np.ndarray]:
    """The composite scene before and after its mission."""
    bridge = BridgeFactory(spec=bundle.spec)()
    plant = RobotPlant(composite=load_scene(mission.scene), robot=bridge.robot)
    plant.reset(seed=EVALUATION_SEED_BASE)
    before = plant.render(WIDTH, HEIGHT)
    run_mission(mission, plant, bridge, LegionPolicy(bundle), EVALUATION_SEED_BASE)
    return [before, plant.render(WIDTH, HEIGHT)]


def main() -> None:
    """A strip of one task over time, a sheet with the last frame of every task, and one with the missions."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"
    folder.mkdir(parents=True, exist_ok=True)
    bundle = PolicyBundle.load()
    episodes = {task: episode_frames(task, bundle) for task in task_names()}
    window = episodes["window-open"]
    chosen = np.linspace(0, len(window) - 1, FRAMES).astype(int)
    imageio.imwrite(folder / "window_open.png", np.hstack([window[i] for i in chosen]))
    last = [frames[-1] for frames in episodes.values()]
    imageio.imwrite(
        folder / "ten_tasks.jpg", np.vstack([np.hstack(last[:5]), np.hstack(last[5:])])[::2, ::2], quality=88
    )
    missions = [np.hstack(mission_frames(mission, bundle)) for mission in load_missions().values()]
    imageio.imwrite(folder / "missions.jpg", np.vstack(missions), quality=88)


if __name__ == "__main__":
    main()
