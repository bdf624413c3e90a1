"""The policies that steer a planning episode, one a file."""
