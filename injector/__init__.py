"""Injector: a service mesh for Kubernetes that asks for one annotation."""

from importlib.metadata import version

__version__ = version("injector-mesh")
