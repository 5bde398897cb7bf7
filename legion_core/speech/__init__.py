"""From sound to words, without ROS: sources, voice activity, recognisers."""
