"""The contract with the proxy: `mesh.proto`, its generated messages, and the names of its methods."""
