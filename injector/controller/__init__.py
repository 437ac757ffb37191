"""The controller: certificates, the webhook's caBundle, and opted-in pods that run without a proxy."""
