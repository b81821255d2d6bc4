# Seen by compiled code only.
