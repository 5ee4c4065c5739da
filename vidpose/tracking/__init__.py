"""Person IDs from frame to frame, and corrections of short detector errors."""
