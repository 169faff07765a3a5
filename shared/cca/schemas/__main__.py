"""`python -m cca.schemas`: the same as `cca schemas`."""

from cca.cli.schemas import schemas

schemas(prog_name="python -m cca.schemas")
