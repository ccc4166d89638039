"""Cameras and the people they saw: each counts once, lies in an erasable block, and is forgotten on time."""
