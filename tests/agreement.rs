//! Where two rooms must agree, on one random history: the rows that the store folds and those that the engine keeps, and the engine that
//! goes on after a restart from the store with the one that never stopped; and a transaction that is too large to be held, through all of them.

/// As the program has it: memory is measured here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod agreement {
    mod giant;
    mod gradients;
    mod history;
    mod restart;
    mod rows;
}
