"""How long a pod takes from its create request to Ready, with and without the mesh."""
