"""The names of the graph's topics and services: relative, so that a namespace holds a whole deployment.

The topics of the robot and its gripper are named in its profile.
"""

INSTRUCTION = "legion/instruction"
REPLY = "legion/reply"
TASK = "legion/task"
TASK_EMBEDDING = "legion/task_embedding"
OBJECT = "legion/scene/object"
OBJECT2 = "legion/scene/object2"
GOAL = "legion/scene/goal"
OBSERVATION = "legion/observation"
ACTION = "legion/action"
LATENT = "legion/latent"
TARGET_POSE = "legion/target_pose"
E_STOP = "legion/e_stop"
EPISODE = "legion/sim/episode"
SIM_RESET = "legion/sim/reset"
MARKERS = "legion/markers"
DIAGNOSTICS = "/diagnostics"
