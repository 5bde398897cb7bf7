"""Arms to test with: the simulator's fast profile and the slow one of the real robot."""

import numpy as np
import pytest

from legion_sim2real.collision import CollisionChecker
from legion_sim2real.guard import SafetyGuard
from legion_sim2real.real2sim import RobotState
from legion_sim2real.robot import load_profile
from legion_sim2real.sim2real import Sim2Real


@pytest.fixture(scope="session")
def profile():
    return load_profile("mujoco")


@pytest.fixture(scope="session")
def slow_limits():
    return load_profile("lbr").load_safety()


@pytest.fixture(scope="session")
def kinematics(profile):
    return profile.kinematics()


@pytest.fixture(scope="session")
def calibration(profile):
    return profile.load_calibration()


@pytest.fixture(scope="session")
def home(profile):
    return np.array(profile.sim2real.posture_rad)


class Arm:
    """A Sim2Real and the robot it drives, which follows its commands with the lag `follow` (1: at once)."""

    def __init__(self, sim2real, start, now=100.0, follow=1.0):
        self.sim2real = sim2real
        self.guard = sim2real.guard
        self.joints = np.array(start, float)
        self.now = now
        self.follow = follow

    def state(self, **changes):
        values = {"stamp_s": self.now, "joint_positions": self.joints.copy(), "gripper_opening": 1.0}
        return RobotState(**{**values, **changes})

    def act(self, action, period=0.02, stamp=None, **state):
        self.now = round(self.now + period, 6)
        stamp = self.now if stamp is None else stamp
        return self.obey(self.sim2real.act(np.asarray(action), stamp, self.state(**state), self.now))

    def tick(self, period=0.02, **state):
        self.now = round(self.now + period, 6)
        return self.obey(self.sim2real.tick(self.state(**state), self.now))

    def hold(self, period=0.02, **state):
        self.now = round(self.now + period, 6)
        return self.obey(self.sim2real.hold(self.state(**state), self.now))

    def obey(self, command):
        if command.joint_positions is not None:
            self.joints = self.joints + self.follow * (command.joint_positions - self.joints)
        return command


@pytest.fixture(scope="session")
def make_arm(profile, kinematics, calibration, home):
    """A function that makes an active Arm at home; `limits` and `config` default to the simulator's."""

    def make(limits=None, config=None, start=home, **keywords):
        limits = limits or profile.load_safety()
        guard = SafetyGuard(limits, kinematics, CollisionChecker(kinematics, limits.obstacles))
        guard.activate()
        return Arm(Sim2Real(kinematics, calibration, config or profile.sim2real, guard), start, **keywords)

    return make


@pytest.fixture
def arm(make_arm):
    return make_arm()
