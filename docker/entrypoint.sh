#!/usr/bin/env bash
# Runs a command with ROS 2, the driver stack where it is installed, and legion_ros in its environment.
set -e
for setup in "/opt/ros/$ROS_DISTRO/setup.bash" /opt/legion/lbr/install/setup.bash /opt/legion/install/setup.bash; do
  if [ -f "$setup" ]; then
    # shellcheck source=/dev/null
    source "$setup"
  fi
done
# `legion` is an executable of the package, as the nodes are
export PATH="/opt/legion/install/legion_ros/lib/legion_ros:$PATH"
# Fast DDS binds to loopback alone, unless somebody asks for another reach
if [ "${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}" = LOCALHOST ]; then
  export ROS_AUTOMATIC_DISCOVERY_RANGE=SYSTEM_DEFAULT
  export FASTRTPS_DEFAULT_PROFILES_FILE=/opt/legion/install/legion_ros/share/legion_ros/config/dds/loopback.xml
fi
exec "$@"
