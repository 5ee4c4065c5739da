"""The 3D player: one HTML file with poses, curves and video."""
