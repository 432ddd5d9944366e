"""The two edges, JSON and pages. With `service.app` the only place that knows Litestar."""
