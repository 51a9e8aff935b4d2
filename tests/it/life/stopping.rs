//! SIGTERM: what callers and load balancers see of a process that stops.
