//! The engine from outside: one binary for all of its tests.

#[path = "it/asof.rs"]
mod asof;
#[path = "it/by_hand.rs"]
mod by_hand;
#[path = "it/groups.rs"]
mod groups;
#[path = "it/oracle/mod.rs"]
mod oracle;
#[path = "it/random.rs"]
mod random;

#[path = "it/clocks.rs"]
mod clocks;
#[path = "it/cost.rs"]
mod cost;
#[path = "it/derived.rs"]
mod derived;
#[path = "it/endings.rs"]
mod endings;
#[path = "it/fills.rs"]
mod fills;
#[path = "it/first_path.rs"]
mod first_path;
#[path = "it/joins.rs"]
mod joins;
#[path = "it/large.rs"]
mod large;
#[path = "it/lazy.rs"]
mod lazy;
#[path = "it/levels.rs"]
mod levels;
#[path = "it/owned.rs"]
mod owned;
#[path = "it/paths.rs"]
mod paths;
#[path = "it/properties.rs"]
mod properties;
#[path = "it/replace.rs"]
mod replace;
#[path = "it/restart.rs"]
mod restart;
#[path = "it/stories.rs"]
mod stories;
#[path = "it/swap.rs"]
mod swap;
#[path = "it/timing.rs"]
mod timing;
#[path = "it/twins.rs"]
mod twins;

/// Changes up to which a step runs in the caller's thread, where the same history is to meet both ways with several workers.
const INLINE: usize = 8;
