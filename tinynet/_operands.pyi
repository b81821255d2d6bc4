# Helpers of compiled code: nothing here can be reached from Python.
