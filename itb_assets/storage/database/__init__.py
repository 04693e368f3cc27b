"""One database: connections, schema, roles, policies, and what its errors mean."""
