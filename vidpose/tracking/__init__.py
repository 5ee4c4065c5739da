"""Who is who from frame to frame, and short mistakes of the detector undone."""
