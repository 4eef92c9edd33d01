//! Where two rooms must agree, on one random history: the rows that the store folds and those that the engine keeps, and the engine that
//! goes on after a restart from the store with the one that never stopped.

mod agreement {
    mod history;
    mod restart;
    mod rows;
}
