"""The writer's pages, the JSON API, the outbox and the admin page."""
