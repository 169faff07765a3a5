"""The inside of a worker: intake, slots, leases, reports, commands. Agent authors use `cca.worker`."""
