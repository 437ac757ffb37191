"""The controller: the webhook's certificates and caBundle, the mesh's roots, which it brings into every namespace and
rotates, and opted-in pods that run without a proxy."""
