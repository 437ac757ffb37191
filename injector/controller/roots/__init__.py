"""The mesh's roots: made or given, published, rotated; and the issuer's certificate under them."""
