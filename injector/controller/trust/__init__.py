"""ConfigMap injector-mesh: the roots and the mesh's facts, in every namespace whose pods look for them."""
