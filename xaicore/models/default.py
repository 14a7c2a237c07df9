"""The model for pictures of any kind, where the user names none."""

from __future__ import annotations

from xaicore.errors import BackendError, DependencyError, InputError
from xaicore.models.advice import is_installed
from xaicore.models.find import find_model, libraries
from xaicore.models.named import NamedModel

__all__ = ["default_model"]


def default_model(device: str | None = None) -> tuple[str, NamedModel]:
    """The name and the model that is taken where nobody names one.

    Of the libraries that are installed, one whose weights are on this machine; where there is none, the first whose
    weights can be downloaded.

    Args:
        device: as in `find_model`.

    Raises:
        InputError: no library is installed, or there are no weights for any; the message says what to type.
    """
    ranked = sorted(libraries(), key=lambda library: library.rank)
    installed = [library for library in ranked if library.defaults and is_installed(library.package)]
    here = [f"{one.name}/{name}" for one in installed for name in one.defaults if one.has_weights(name)]
    elsewhere = [f"{one.name}/{one.defaults[0]}" for one in installed if not any(map(one.has_weights, one.defaults))]
    tried = []
    for name in [*here, *elsewhere]:
        try:
            return name, find_model(name, device=device)
        except (BackendError, DependencyError) as exc:
            tried.append(str(exc))
    if tried:
        reason = tried[0].partition(". ")[0]  # its remedy is for a model that is named
        raise InputError(
            f"no model is named, and {', '.join([*here, *elsewhere])} cannot be had: {reason}. Name a model that is "
            "on this machine: spec='best.keras', or code that builds one, spec='package.module:function'"
        )
    own = "or name a model of your own: spec='package.module:function'"
    if not ranked:
        raise InputError(f"no model is named, and no backend plugin knows one; see `xaicore plugins --check`, {own}")
    packages = ", ".join(one.package for one in ranked)
    raise InputError(f"no model is named, and none of {packages} is installed: try `{ranked[0].install}`, {own}")
