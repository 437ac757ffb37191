"""What a review costs the webhook: the shipped process on one core, the load on another, TLS between them."""
