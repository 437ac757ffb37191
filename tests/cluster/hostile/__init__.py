"""An enemy in a pod, who can reach the webhook's Service."""
