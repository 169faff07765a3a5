"""The projector: keeps the tables in PostgreSQL up to date with the log.

It listens to nothing but the log: `cca.events.>` of CCA_EVENTS, through a consumer of its own.
"""

from cca import service
from cca_projector.shell import start

if __name__ == "__main__":
    service.run("cca_projector", "Keeps the tables in PostgreSQL up to date with the log.", start)
