"""Datasets: one file each; nothing here knows a network."""
