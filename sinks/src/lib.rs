//! Effects into the outside world: webhook, SQL, log.
