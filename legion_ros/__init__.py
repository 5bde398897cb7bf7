"""ROS 2 nodes, the deployment graph and the command line: the only place that imports rclpy."""
