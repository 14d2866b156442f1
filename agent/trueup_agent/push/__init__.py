"""What leaves the machine: enrolment, batches, heartbeats (design section 6). `hub_client` is the only way out."""
