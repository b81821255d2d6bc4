# Sums for compiled code only: nothing here can be reached from Python.
