"""Recordings of a deployment: written as MCAP that ROS 2 tools read, read and replayed without ROS."""
