"""The robot side: kinematics, calibration, real2sim, sim2real and the safety guard (neither torch nor ROS)."""
