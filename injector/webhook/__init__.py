"""The mutating admission webhook: reviews in, patches out."""
