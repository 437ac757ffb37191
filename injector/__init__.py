"""Injector: a service mesh for Kubernetes that asks for one annotation."""


def __getattr__(name: str) -> str:
    """`__version__`, read when it is asked for: looking it up costs a tenth of a command's start."""
    if name == "__version__":
        from importlib.metadata import version

        return version("injector-mesh")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
