"""Who somebody is: a ServiceAccount of a trust domain, as a SPIFFE ID and as a DNS name."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What Kubernetes allows: a namespace is a DNS label, a ServiceAccount's name a DNS subdomain (RFC 1123).
_LABEL = "[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_ACCOUNT = r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?"
# The SPIFFE-ID standard, section 2.1: lower case letters, digits, dots, dashes and underscores, at most 255.
_TRUST_DOMAIN = "[a-z0-9._-]{1,255}"
_ID = re.compile(rf"spiffe://({_TRUST_DOMAIN})/ns/({_LABEL})/sa/({_ACCOUNT})")
_USER = re.compile(rf"system:serviceaccount:({_LABEL}):({_ACCOUNT})")

# RFC 1035, section 2.3.4, without the root's dot.
MOST_NAME_LETTERS = 253
MOST_LABEL_LETTERS = 63


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """spiffe://<trust domain>/ns/<namespace>/sa/<service account>."""

    trust_domain: str
    namespace: str
    service_account: str

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"

    @classmethod
    def parse(cls, text: str) -> SpiffeId | None:
        """The identity of a URI; None where it is not one of ours, in the one form in which we write it."""
        found = _ID.fullmatch(text)
        return cls(*found.groups()) if found else None

    @classmethod
    def of_user(cls, user: str, trust_domain: str) -> SpiffeId | None:
        """The identity of a user as the API server names it; None for a user who is no ServiceAccount."""
        found = _USER.fullmatch(user)
        return cls(trust_domain, *found.groups()) if found else None

    @property
    def dns_name(self) -> str | None:
        """<service account>.<namespace>.id.<trust domain>, for clients that cannot match URIs; None where that is no
        name that DNS allows."""
        name = f"{self.service_account}.{self.namespace}.id.{self.trust_domain}"
        long = len(name) > MOST_NAME_LETTERS or any(len(label) > MOST_LABEL_LETTERS for label in name.split("."))
        return None if long else name
