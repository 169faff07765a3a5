"""The projector: events to rows that can be queried."""
