"""The pure core: what a pod gets from the mesh, decided on plain data and without I/O.

The webhook, the controller's search for pods without a proxy, and the command line's preview call the same functions,
so that what a preview shows is what admission does.
"""
