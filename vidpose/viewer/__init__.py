"""The player: one HTML file with the people in 3D, their curves and their video."""
