"""What passes between pods, seen from the nodes, where an eavesdropper would sit."""
