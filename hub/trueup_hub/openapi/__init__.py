"""The API's own description: OpenAPI 3.1 out of the table of routes and their types, and a page made of it."""
