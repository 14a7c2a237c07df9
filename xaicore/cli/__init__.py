"""The command line: `xaicore explain | gallery | layers | methods | models | plugins | new-plugin`.

One file per command. Only this package imports click and rich. Nothing else of xaicore imports this package.
"""

from __future__ import annotations

import click

from xaicore import __version__
from xaicore.cli import explain, gallery, layers, methods, models, new_plugin, plugins

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="xaicore")
def main() -> None:
    """Show where an image model looks: class activation maps for any framework.

    \b
    Start with
      xaicore explain photo.jpg                     explain a picture, with a model that is there or can be had
      xaicore models resnet                         list the models that are known by name
      xaicore layers  --model my.net:build          list the layers of a model
      xaicore methods --model my.net:build          list the methods that fit a model, and why others do not
      xaicore explain photos --model my.net:build   explain pictures
      xaicore gallery runs/a runs/b                 show runs side by side
      xaicore plugins                               list backends, loggers and methods
      xaicore new-plugin backend mxnet              write the package of a new one

    Exit status: 0 success; 1 a picture, the model or a logger failed during the work; 2 the request is not possible,
    and nothing was explained.
    """


main.add_command(explain.command)
main.add_command(gallery.command)
main.add_command(layers.command)
main.add_command(methods.command)
main.add_command(models.command)
main.add_command(plugins.command)
main.add_command(new_plugin.command)
