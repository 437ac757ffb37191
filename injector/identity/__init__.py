"""The issuer: certificates for pods, by their ServiceAccount tokens."""
